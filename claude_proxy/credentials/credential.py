"""What an upstream is called with: a `Credential`, and the two protocols by which one is supplied.

`CredentialSupply` answers for one request; `CredentialSource` is a place that may hold one of our own.
"""

import re
from enum import Enum
from typing import Protocol

import msgspec

from claude_proxy.wire.headers import Headers, append_to_list, bearer, canonical, without
from claude_proxy.wire.messages import ClientRequest

OAUTH_BETA = "oauth-2025-04-20"
"""What `anthropic-beta` must name where a subscription's token is the credential (https://code.claude.com/docs/en/llm-gateway-protocol)."""

LOGIN_PREFIX = "sk-ant-oat"
"""How the access tokens of Claude subscriptions begin, setup-tokens included."""

_ONE_WORD = re.compile(r"[!-z|~]+")  # visible ASCII without braces: a key is no JSON


class Scheme(Enum):
    """The header that carries a credential."""

    BEARER = "authorization"
    API_KEY = "x-api-key"


class CredentialUnavailable(Exception):
    """A source could not be read, or holds nothing usable; the text says why and what to do."""


class SubscriptionGuarded(CredentialUnavailable):
    """There is a stored login, but the request does not come from Claude Code itself."""


class Credential(msgspec.Struct, frozen=True):
    """A secret and how it is sent. `expires_at` is Unix time in seconds, None where it is not known; `stored_login`
    says that it lay where Claude Code keeps its login.

    `ours` is False for what the client brought: that crosses untouched, and its refusal is the client's affair.
    """

    secret: str
    scheme: Scheme
    source: str
    ours: bool = True
    expires_at: float | None = None
    stored_login: bool = False

    def __repr__(self) -> str:
        return f"Credential({self.scheme.name} from {self.source})"

    @property
    def is_login(self) -> bool:
        """Whether it belongs to a Claude subscription."""
        return self.stored_login or self.secret.startswith(LOGIN_PREFIX)

    def apply(self, headers: Headers) -> Headers:
        """The headers with this credential in place of whatever the client sent; its own are left as they are."""
        if not self.ours:
            return headers
        bare = without(headers, "authorization", "x-api-key")
        if self.scheme is Scheme.API_KEY:
            return (*bare, ("x-api-key", self.secret))
        bare = (*bare, ("Authorization", f"Bearer {self.secret}"))
        return append_to_list(bare, "anthropic-beta", OAUTH_BETA) if self.is_login else bare


def anthropic_credential(secret: str, source: str, expires_at: float | None = None) -> Credential:
    """A secret for Anthropic's own API: a login as Bearer, anything else as an API key."""
    scheme = Scheme.BEARER if secret.startswith(LOGIN_PREFIX) else Scheme.API_KEY
    return Credential(secret, scheme, source, expires_at=expires_at)


def one_word(text: str, place: str) -> str:
    """The key that a place holds, without what stands around it. Raises CredentialUnavailable where it is none."""
    key = text.strip()
    if not _ONE_WORD.fullmatch(key):
        raise CredentialUnavailable(
            f"{place} does not hold one key and nothing else: there is a space, a line break, a brace or a character "
            "beyond ASCII in it"
        )
    return key


def client_secrets(headers: Headers) -> list[tuple[str, str]]:
    """What the client sent as credentials: (canonical header name, secret)."""
    found = []
    for key, value in headers:
        name = canonical(key)
        if name == "authorization":
            found.append((name, bearer(value) or value.strip()))
        elif name == "x-api-key":
            found.append((name, value.strip()))
    return found


class CredentialSource(Protocol):
    """A place that may hold a credential of our own."""

    @property
    def name(self) -> str:
        """As the configuration spells it, such as `env:OPENAI_API_KEY`."""
        ...

    @property
    def place(self) -> str:
        """Where that is, for a person: a path, an item of the keychain."""
        ...

    def present(self) -> bool | None:
        """Whether it holds one, where that can be told without asking anybody; None: only a read tells."""
        ...

    @property
    def reads(self) -> int:
        """How often it was read since the start."""
        ...

    @property
    def asks(self) -> bool:
        """Whether a read may open a dialog, so that it is not read again without need."""
        ...

    async def read(self) -> Credential | None:
        """The credential that lies there, or None. Raises CredentialUnavailable."""
        ...


class SupplyState(msgspec.Struct, frozen=True):
    """What may be said of a supply without a secret: `state` is one word, `detail` a sentence.

    `refresh` says who renews a stored login: `delegate` (we ask `claude`), `never` (the user), None where there is
    none. `refreshed_at` is the Unix time at which `claude` was last asked, `refresh_outcome` what came of it.
    """

    state: str
    source: str | None = None
    detail: str = ""
    expires_at: float | None = None
    refresh: str | None = None
    refreshed_at: float | None = None
    refresh_outcome: str | None = None


class CredentialSupply(Protocol):
    """Who supplies the credential for a request."""

    async def obtain(self, request: ClientRequest) -> Credential | None:
        """The credential for this request, or None where this supply has none.

        Raises CredentialUnavailable where there should be one and it cannot be used.
        """
        ...

    async def replaces(self, refused: Credential) -> Credential | None:
        """Another credential where the refused one has been replaced in its store by now, else None."""
        ...

    async def keep_fresh(self, horizon: float) -> float:
        """Has a stored login renewed whose last minutes have begun, where a request was given it lately.

        Returns in how many seconds that should be looked at again, at most `horizon`; twice as long ago is lately.
        """
        ...

    def state(self) -> SupplyState: ...

    def sources(self) -> tuple[CredentialSource, ...]: ...

    def forget(self) -> None:
        """Drops what is cached, so that the next request reads anew."""
        ...
