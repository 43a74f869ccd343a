"""What the running daemon says of itself: its `/health`, asked and read. Whoever else listens there is told apart.

Named tuples, because a command that only asks this shall answer within 100 ms: a frozen dataclass takes 0.7 ms to make.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from claude_proxy.loopback_http import NotHttp, get

_PATIENCE = 1.0  # seconds for the daemon on this machine
_LARGEST = 1 << 20  # bytes of its answer


class NotAnswering(Exception):
    """No daemon answers there; the text says what does happen instead."""


class AnotherProgram(NotAnswering):
    """Some other program has the port."""


class PartReport(NamedTuple):
    """One breaker that is not closed: of the `api`, a `credential` or a `model`, which `model` names."""

    of: str
    model: str | None
    state: str
    reason: str | None
    retry_in_seconds: float | None


class BreakerReport(NamedTuple):
    """`state` is the gravest; `parts` are all that are not closed."""

    state: str
    parts: tuple[PartReport, ...]


class UpstreamReport(NamedTuple):
    credential: str | None
    breaker: BreakerReport


class CredentialReport(NamedTuple):
    """`sources` are () where a daemon of another version does not tell them.

    `refresh` is the daemon's own part in renewing a stored login, `last_refresh` what came of it; both as it says it.
    """

    state: str
    source: str | None = None
    detail: str | None = None
    expires_at: float | None = None
    sources: tuple[str, ...] = ()
    refresh: Any = None
    last_refresh: Any = None


class HealthReport(NamedTuple):
    """`quota` as the daemon gives it, by the upstream that stated it."""

    status: str
    version: str | None
    pid: int | None
    uptime_seconds: float | None
    in_flight: int | None
    upstreams: Mapping[str, UpstreamReport]
    credentials: Mapping[str, CredentialReport]
    quota: Mapping[str, Mapping[str, Any]]


def reachable_host(host: str) -> str:
    """How a daemon that listens on this address is reached from its own machine."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", "[::]"} else host.strip("[]")  # noqa: S104 - compared, not bound


def ask_health(host: str, port: int) -> HealthReport:
    """The report of the daemon that listens there. Raises NotAnswering, AnotherProgram."""
    try:
        answer = get(reachable_host(host), port, "/health", _PATIENCE, _LARGEST)
    except OSError as error:
        raise NotAnswering(error.strerror or str(error) or type(error).__name__) from None
    except NotHttp:
        raise AnotherProgram("what answers there does not speak HTTP") from None
    try:
        return _report(json.loads(answer.body))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AnotherProgram(
            f"another program answers there (HTTP {answer.status}, which is not the health of claude-proxy)"
        ) from None


def _report(body: Any) -> HealthReport:
    """Raises TypeError and KeyError where this is not what a daemon of ours says."""
    upstreams = {name: _upstream(value) for name, value in _mapping(body["upstreams"]).items()}
    credentials = {name: _credential(value) for name, value in _mapping(body["credentials"]).items()}
    quota = body.get("quota")
    return HealthReport(
        status=_known(body.get("status"), str) or "healthy",
        version=_known(body.get("version"), str),
        pid=_known(body.get("pid"), int),
        uptime_seconds=_known(body.get("uptime_seconds"), float, int),
        in_flight=_known(body.get("in_flight"), int),
        upstreams=upstreams,
        credentials=credentials,
        quota={name: value for name, value in quota.items() if isinstance(value, dict)}
        if isinstance(quota, dict)
        else {},
    )


def _upstream(value: Any) -> UpstreamReport:
    breaker = _mapping(_mapping(value)["breaker"])
    state, parts = _text(breaker["state"]), breaker.get("parts")
    if not isinstance(parts, list):  # a daemon of before there were parts
        parts = [] if state == "closed" else [{"of": "api", **breaker}]
    return UpstreamReport(
        _known(value.get("credential"), str), BreakerReport(state, tuple(_part(part) for part in parts))
    )


def _part(value: Any) -> PartReport:
    part = _mapping(value)
    return PartReport(
        _text(part["of"]),
        _known(part.get("model"), str),
        _text(part["state"]),
        _known(part.get("reason"), str),
        _known(part.get("retry_in_seconds"), float, int),
    )


def _credential(value: Any) -> CredentialReport:
    sources = _mapping(value).get("sources")
    return CredentialReport(
        _text(value["state"]),
        _known(value.get("source"), str),
        _known(value.get("detail"), str),
        _known(value.get("expires_at"), float, int),
        tuple(name for name in sources if isinstance(name, str)) if isinstance(sources, list) else (),
        value.get("refresh"),
        value.get("last_refresh"),
    )


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _known(value: Any, *kinds: type) -> Any:
    """The value where it is of one of these kinds, else None: a daemon of another version may say it otherwise."""
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None
