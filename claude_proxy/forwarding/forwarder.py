"""The one path: a request's targets in order, a reply out, the exchange closed, exactly once."""

import asyncio
import time
from collections.abc import Sequence

from claude_proxy.exchange import End, Exchange, Observer, Transcript
from claude_proxy.failures import (
    AttemptFailed,
    Failure,
    FailureKind,
    ForwardingError,
    ProxyError,
    StreamBroken,
)
from claude_proxy.forwarding.attempt import NOT_ASKED, Attempts
from claude_proxy.forwarding.reply import Reply
from claude_proxy.upstreams.route import Decision, RouteTable, Target
from claude_proxy.wire.messages import ClientRequest


class Forwarder:
    """Forwards exchanges along the route table in force when they began."""

    def __init__(self, routes: RouteTable, attempts: Attempts, observer: Observer) -> None:
        self.routes = routes
        """Swapped whole by a reload; an exchange keeps the table that it began with."""
        self.attempts = attempts
        self.keeps: int | None = None
        """How many bytes of each answer are kept for those who watch; None: none are."""
        self._observer = observer

    def forward(self, exchange: Exchange) -> "Forwarding":
        """Enters with the reply, valid inside the block; its end releases the connection and closes the exchange.

        Entering raises ForwardingError where all targets failed.
        """
        return Forwarding(self, exchange)

    def close(self, exchange: Exchange, reply: Reply | None, error: BaseException | None) -> None:
        """Takes note of how an exchange has ended, `error` being what has ended it, and tells those who watch."""
        if isinstance(error, ProxyError):
            exchange.failure = error.failure
            exchange.end = End.BROKEN if isinstance(error, StreamBroken) else End.FAILED
        elif isinstance(error, (asyncio.CancelledError, GeneratorExit, ConnectionError)):
            exchange.failure = Failure(FailureKind.CLIENT_GONE, "the client left")
            exchange.end = End.CLIENT_GONE
        elif error is None and reply is not None and _is_complete(exchange, reply):
            exchange.end = End.COMPLETE
        else:
            exchange.end = End.FAILED
        if exchange.failure is not None:
            exchange.status = exchange.status or exchange.failure.client_status
        exchange.ended = time.monotonic()
        if reply is not None:
            exchange.usage = reply.usage.usage
            reply.close()
        elif exchange.end is End.CLIENT_GONE:
            _keep_what_was_metered(exchange)
        self._observer.closed(exchange)

    async def first_good(self, exchange: Exchange) -> Reply:
        """The first good reply of the targets in order. Raises ForwardingError."""
        routes, attempts = self.routes, self.attempts
        if exchange.request.members is None:
            decision = Decision("pass-through", routes.default_native()[:1], "names no model")
        else:
            decision = routes.decide(exchange.request)
        exchange.route = decision.route
        self._observer.began(exchange)
        failures: list[Failure] = []
        for target, last in _in_order(decision.targets, exchange.request):
            try:
                reply = await attempts.until_good(exchange, target, last=last)
            except AttemptFailed as failed:
                failures.append(failed.failure)
                if not failed.failure.handling.elsewhere:
                    raise ForwardingError(failed.failure) from None
                continue
            exchange.upstream = target.upstream.name
            return reply
        raise ForwardingError(_told(failures))


class Forwarding:
    """One exchange on its way through the forwarder."""

    __slots__ = ("_exchange", "_forwarder", "_reply")

    def __init__(self, forwarder: Forwarder, exchange: Exchange) -> None:
        self._forwarder = forwarder
        self._exchange = exchange
        self._reply: Reply | None = None

    async def __aenter__(self) -> Reply:
        forwarder, exchange = self._forwarder, self._exchange
        try:
            reply = self._reply = await forwarder.first_good(exchange)
        except BaseException as error:
            forwarder.close(exchange, None, error)
            raise
        exchange.status = reply.status
        exchange.first_byte = time.monotonic()
        exchange.answer_headers = reply.headers
        if forwarder.keeps is not None:
            exchange.transcript = Transcript(forwarder.keeps)
            if reply.body is not None:
                exchange.transcript.add(reply.body)
        return reply

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._forwarder.close(self._exchange, self._reply, error)


def _keep_what_was_metered(exchange: Exchange) -> None:
    """Of a message that was being put together when the client left; a failed attempt's was told with it."""
    last = exchange.attempts[-1] if exchange.attempts else None
    if last is not None and last.failure is None and last.usage is not None:
        exchange.usage = last.usage
        exchange.upstream = last.upstream


def _in_order(targets: Sequence[Target], request: ClientRequest) -> list[tuple[Target, bool]]:
    """The targets, each with whether it is the last one that would be let through."""
    admits = [target.upstream.admits(request.headers, target.model or request.model) for target in targets[1:]]
    return [(target, not any(admits[index:])) for index, target in enumerate(targets)]


def _told(failures: Sequence[Failure]) -> Failure:
    """What the client is told when all targets failed: the first one's own answer."""
    if not failures:
        return Failure(FailureKind.UNSUPPORTED, "no Anthropic upstream is configured, and this path needs one")
    return next((failure for failure in failures if failure.kind not in NOT_ASKED), failures[0])


def _is_complete(exchange: Exchange, reply: Reply) -> bool:
    """Whether the client has a whole answer, and not one that the upstream itself ended with an error."""
    last = exchange.attempts[-1] if exchange.attempts else None
    return not (reply.is_events and (last is None or last.failure is not None))
