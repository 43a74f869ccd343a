"""The query of a request, as it may be told to others than the upstream: some put a key into it."""

from urllib.parse import unquote_plus

HIDDEN = "[redacted]"

# Parameters of the API's whose values are no secret; of all others the name alone is shown.
_KNOWN = frozenset({"beta", "limit"})


def shown(query: str) -> str:
    """The query without the values of parameters that the API does not know; what has no name is hidden whole."""
    parts = []
    for part in query.split("&") if query else ():
        name, equals, _ = part.partition("=")
        parts.append(part if name in _KNOWN or not part else f"{name}={HIDDEN}" if equals else HIDDEN)
    return "&".join(parts)


def hidden_values(query: str) -> set[str]:
    """What `shown` leaves out, as it stands and decoded: an upstream may repeat either."""
    values: set[str] = set()
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if name not in _KNOWN:
            hidden = value if equals else name
            values.update((hidden, unquote_plus(hidden)))
    return values - {""}
