"""What a request was sent with that may be a secret: of the client's headers and query, all that is not harmless."""

import re
from functools import lru_cache
from operator import itemgetter

from claude_proxy.credentials.credential import client_secrets
from claude_proxy.logline import SHORTEST_SECRET
from claude_proxy.wire.headers import Headers, canonical
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.query import hidden_values

# What Claude Code sends by itself. All else the user has it send (ANTHROPIC_CUSTOM_HEADERS), as a rule to a gateway
# between us and the API: by their names alone such headers cannot be told to be harmless.
_HARMLESS = re.compile(
    r"(?!.*(?:auth|key|token|secret|password|credential))"
    r"(?:(?:accept|anthropic|content|x-claude-code|x-stainless)(?:-.+)?|connection|host|user-agent|x-app)"
)

_NAME = itemgetter(0)  # of a header


@lru_cache(maxsize=512)
def is_harmless(name: str) -> bool:
    """Whether a header of this canonical name holds no secret; asked for each header of each request, and nearly
    always for the same ones."""
    return _HARMLESS.fullmatch(name) is not None


def harmless(headers: Headers) -> Headers:
    """The headers that may be shown and kept."""
    return tuple((key, value) for key, value in headers if is_harmless(canonical(key)))


@lru_cache(maxsize=128)
def telling(names: tuple[str, ...]) -> tuple[int, ...]:
    """Where among the names of a request's headers those stand that may hold a secret; a client sends the same names
    in the same order with each request."""
    return tuple(place for place, name in enumerate(names) if not is_harmless(canonical(name)))


def brought_secrets(request: ClientRequest) -> set[str]:
    """All that the client sent with it, and that is long enough to be told from a word."""
    headers = request.headers
    names = tuple(map(_NAME, headers))
    found = [(canonical(names[place]), headers[place][1]) for place in telling(names)]
    secrets = {secret for _, secret in client_secrets(tuple(found))} | hidden_values(request.query)
    for name, value in found:
        if name == "cookie":
            secrets.update((value, *(part.partition("=")[2].strip() for part in value.split(";"))))
        else:
            secrets.update((value, value.rpartition(" ")[2]))
    return {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
