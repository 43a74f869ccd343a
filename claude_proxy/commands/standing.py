"""How things stand: the daemon, the login and its plan, quota, breakers, keys; without a secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_proxy.commands.options import DEGRADED, NO_CREDENTIAL, NOT_RUNNING, UP
from claude_proxy.credentials.account import Account, Plan
from claude_proxy.credentials.spelling import SETUP_TOKEN, SETUP_TOKEN_SOURCES, is_login_file
from claude_proxy.health_report import HealthReport

CLAUDE_CODE = "claude-code"
API_KEY = "api-key"

_WELL = frozenset({"pass-through", "present", "not read"})


@dataclass(slots=True)
class DaemonStanding:
    """`state` is up, draining or down; `problem` says what happens at its address where it is down, `port_taken`
    whether another program answers there."""

    state: str
    url: str
    command_version: str
    version: str | None = None
    pid: int | None = None
    uptime_seconds: float | None = None
    in_flight: int | None = None
    problem: str | None = None
    port_taken: bool = False


@dataclass(slots=True)
class CredentialStanding:
    """`told_by` is `daemon`, or `store` where this command has looked itself."""

    credential: str
    state: str
    source: str | None
    detail: str | None
    expires_at: float | None
    told_by: str


@dataclass(slots=True)
class LoginStanding(CredentialStanding):
    """A credential that is, or may be, a Claude login. `kind` is claude-code, setup-token, api-key or None.

    `refreshed_by` is claude-code, daemon (which asks Claude Code to), writer (of a copied file), nobody, or None
    where there is nothing to refresh; `refresh` and `last_refresh` are what the daemon says of its own part in that.
    `probe` is what Anthropic said of it, where it was asked. `behind` are stores for clients that bring no login.
    """

    kind: str | None = None
    refreshed_by: str | None = None
    refresh: Any = None
    last_refresh: Any = None
    plan: Plan | None = None
    account: Account | None = None
    probe: dict[str, Any] | None = None
    behind: Sequence[str] = ()

    @property
    def usable(self) -> bool:
        return self.state in _WELL and not (self.probe or {}).get("refused")


@dataclass(slots=True)
class BreakerStanding:
    """`of` says whose affair it is: the `api`, a `credential` or a `model`, which `model` names."""

    upstream: str
    of: str
    model: str | None
    state: str
    reason: str | None
    retry_in_seconds: float | None


@dataclass(slots=True)
class Standing:
    """`quota` as the daemon gives it, by upstream; `breakers` are those that are not closed."""

    daemon: DaemonStanding
    logins: list[LoginStanding]
    keys: list[CredentialStanding]
    quota: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    breakers: Sequence[BreakerStanding] = ()

    @property
    def exit_code(self) -> int:
        if self.daemon.state == "down":
            return NOT_RUNNING
        if not all(login.usable for login in self.logins):
            return NO_CREDENTIAL
        return DEGRADED if self.daemon.state == "draining" or self.breakers else UP


def login_kind(source: str | None) -> str | None:
    """What lies at a source of Claude's credential."""
    if source is None:
        return None
    if source in SETUP_TOKEN_SOURCES:
        return SETUP_TOKEN
    return CLAUDE_CODE if source in {"client", "keychain", "file"} or is_login_file(source) else API_KEY


def refreshed_by(source: str | None, refresh: object) -> str | None:
    """Who renews what lies at a source; `refresh` is what the daemon says of its own part in it."""
    match login_kind(source):
        case "setup-token":
            return "nobody"
        case "claude-code" if source is not None and source.startswith("file:"):
            return "writer"
        case "claude-code":
            return "daemon" if source != "client" and refresh not in (None, False, "never") else "claude-code"
    return None


def breakers_of(report: HealthReport) -> list[BreakerStanding]:
    return [
        BreakerStanding(name, *part) for name, upstream in report.upstreams.items() for part in upstream.breaker.parts
    ]
