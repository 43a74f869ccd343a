"""Which headers may cross, in both directions, and what strangers need not know.

Headers are pairs in the order in which they came, names spelt as they came.
"""

from collections.abc import Iterable
from functools import lru_cache

Headers = tuple[tuple[str, str], ...]

# RFC 9110 section 7.6.1, and the older names that intermediaries must still drop.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# Ours to set on the way up. `Expect` was answered by our own server.
_SET_BY_US = frozenset({"host", "accept-encoding", "content-length", "expect"})

# What an upstream has no business to set for the origin under which the client sees us.
_NOT_FOR_CLIENTS = frozenset({"set-cookie", "set-cookie2", "strict-transport-security", "content-length", "alt-svc"})

# What `Connection` may never name: dropping these would change the meaning of a request (RFC 9110 7.6.1).
_NEVER_NOMINATED = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "x-api-key",
    }
)

_NEVER_UP = HOP_BY_HOP | _SET_BY_US
_NEVER_DOWN = HOP_BY_HOP | _NOT_FOR_CLIENTS

OWN_PREFIX = "x-claude-proxy-"
TOKEN_HEADER = f"{OWN_PREFIX}token"
"""Carries the access token of this proxy, where it asks for one."""

_NOT_FROM_UPSTREAMS = (OWN_PREFIX, "access-control-", "proxy-")


@lru_cache(maxsize=2048)
def canonical(name: str) -> str:
    """The name by which headers are compared: `x_api_key` and `X-Api-Key` are one header to many servers."""
    return name.lower().replace("_", "-")


def first(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first value of a header, or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def nominated(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The names that `Connection` makes hop-by-hop; empty for most requests."""
    values = [value for key, value in headers if canonical(key) == "connection"]
    return _members(",".join(values)) if values else frozenset()


@lru_cache(maxsize=64)
def _members(value: str) -> frozenset[str]:
    """The members of a list of names; nearly every client sends the same one each time."""
    return frozenset([canonical(part.strip()) for part in value.split(",")])


def nominates_end_to_end(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether `Connection` names a header that is meant for the upstream: an attempt to have it removed."""
    return any(name in _NEVER_NOMINATED or name.startswith("anthropic-") for name in nominated(headers))


def for_upstream(headers: Iterable[tuple[str, str]], access_header: str = "") -> Headers:
    """What crosses to an Anthropic upstream: everything end-to-end, verbatim.

    `access_header` is the one that carries this proxy's own access token, which is never forwarded.
    """
    pairs = tuple(headers)
    dropped = _NEVER_UP | nominated(pairs) | {canonical(access_header)}
    return tuple(
        [
            (key, value)
            for key, value in pairs
            if (name := canonical(key)) not in dropped and not name.startswith(OWN_PREFIX)
        ]
    )


def for_stranger(headers: Iterable[tuple[str, str]]) -> Headers:
    """What crosses to any other provider: only what says how to read the request.

    An allow-list, since every other header may identify the user or the client.
    """
    return tuple([(key, value) for key, value in headers if canonical(key) in {"accept", "content-type"}])


def for_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """What crosses back: everything end-to-end but what speaks for an origin that is not the upstream's."""
    pairs = tuple(headers)
    dropped = _NEVER_DOWN | nominated(pairs)
    return tuple(
        [
            (key, value)
            for key, value in pairs
            if (name := canonical(key)) not in dropped and not name.startswith(_NOT_FROM_UPSTREAMS)
        ]
    )


def without(headers: Iterable[tuple[str, str]], *names: str) -> Headers:
    """The headers but those named, compared canonically."""
    return tuple([(key, value) for key, value in headers if canonical(key) not in names])


def append_to_list(headers: Iterable[tuple[str, str]], name: str, member: str) -> Headers:
    """The headers with a member appended to a comma-separated list header, once, all others kept in order."""
    pairs = list(headers)
    places = [index for index, (key, _) in enumerate(pairs) if key.lower() == name]
    if any(member == part.strip() for index in places for part in pairs[index][1].split(",")):
        return tuple(pairs)
    if not places:
        return (*pairs, (name, member))
    key, value = pairs[places[0]]
    pairs[places[0]] = (key, f"{value},{member}" if value.strip() else member)
    return tuple(pairs)


def bearer(value: str) -> str | None:
    """The token of an `Authorization` header, or None where it is of another scheme (RFC 6750 2.1)."""
    scheme, _, token = value.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def retry_after(headers: Iterable[tuple[str, str]]) -> float | None:
    """`Retry-After` in seconds; None where it is absent or a date, which no model API sends (RFC 9110 10.2.3)."""
    value = first(headers, "retry-after")
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 1e9 else None
