"""How an upstream speaks: the protocol that each dialect fulfils. Bytes in, bytes out; no I/O, no clock."""

from typing import Protocol

from claude_proxy.failures import Failure
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest


class StreamTranslator(Protocol):
    """Turns one stream of the upstream into Anthropic's events."""

    def feed(self, block: bytes) -> bytes:
        """A block of whole events, as the client shall see it."""
        ...


class Dialect(Protocol):
    """One way of speaking. `native` means Anthropic's own: nothing is changed in either direction."""

    @property
    def native(self) -> bool: ...

    def target(self, request: ClientRequest) -> str:
        """Path and query below the upstream's base URL."""
        ...

    def headers(self, headers: Headers, access_header: str) -> Headers:
        """The client's headers that may go to this upstream, without any credential of ours."""
        ...

    def request(self, request: ClientRequest, model: str | None) -> bytes:
        """The body that goes up, for another model where one is given."""
        ...

    def refusal(self, status: int, headers: Headers, body: bytes, request: ClientRequest) -> Failure:
        """What a status of 300 or more means."""
        ...

    def disguised(self, data: bytes, headers: Headers, request: ClientRequest) -> Failure | None:
        """The failure that hides in a 200: an error in the body, or in the stream's first event."""
        ...

    def answer(self, body: bytes, request: ClientRequest) -> bytes:
        """The body of a good non-streaming answer, as the client shall see it."""
        ...

    def stream(self, request: ClientRequest) -> StreamTranslator | None:
        """A translator for one stream, or None where its bytes are passed on as they are."""
        ...
