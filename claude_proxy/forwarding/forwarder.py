"""The one path: a request's targets in order, a reply out, the exchange closed, exactly once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

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

    @asynccontextmanager
    async def forward(self, exchange: Exchange) -> AsyncIterator[Reply]:
        """The reply, valid inside the block; its end releases the connection and closes the exchange.

        Raises ForwardingError where all targets failed.
        """
        reply: Reply | None = None
        try:
            reply = await self._first_good(exchange)
            exchange.status = reply.status
            exchange.first_byte = time.monotonic()
            exchange.answer_headers = reply.headers
            if self.keeps is not None:
                exchange.transcript = Transcript(self.keeps)
                if reply.body is not None:
                    exchange.transcript.add(reply.body)
            yield reply
            exchange.end = End.COMPLETE if _is_complete(exchange, reply) else End.FAILED
        except ProxyError as error:
            exchange.failure = error.failure
            exchange.end = End.BROKEN if isinstance(error, StreamBroken) else End.FAILED
            exchange.status = exchange.status or error.failure.client_status
            raise
        except (asyncio.CancelledError, GeneratorExit, ConnectionError):
            exchange.failure = Failure(FailureKind.CLIENT_GONE, "the client left")
            exchange.end = End.CLIENT_GONE
            exchange.status = exchange.status or exchange.failure.client_status
            raise
        finally:
            exchange.ended = time.monotonic()
            exchange.end = exchange.end or End.FAILED
            if reply is not None:
                exchange.usage = reply.usage.usage
                reply.close()
            elif exchange.end is End.CLIENT_GONE:
                _keep_what_was_metered(exchange)
            self._observer.closed(exchange)

    async def _first_good(self, exchange: Exchange) -> Reply:
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
