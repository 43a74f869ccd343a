"""One target, tried until it answers or there is no sense in it: who is let through, the call, what it came to."""

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from claude_proxy.credentials.credential import Credential
from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import AttemptFailed, Failure, FailureKind, ForwardingError
from claude_proxy.forwarding.commit import client_headers, commit
from claude_proxy.forwarding.demotion import Demotion
from claude_proxy.forwarding.outbound import outbound
from claude_proxy.forwarding.reply import Reply
from claude_proxy.forwarding.retry import RetrySettings, with_retries
from claude_proxy.forwarding.verdict import credential_for, repeats_secret, settled
from claude_proxy.upstreams.breakers import Caller
from claude_proxy.upstreams.route import Target
from claude_proxy.upstreams.transport import Answer, BrokenOff, Transport
from claude_proxy.upstreams.upstream import CountTokens, Upstream
from claude_proxy.wire.estimate import estimate_tokens
from claude_proxy.wire.quota import Quota, read_quota
from claude_proxy.wire.usage import Usage, UsageReader

NOT_ASKED = frozenset({FailureKind.NO_CREDENTIAL, FailureKind.UNAVAILABLE, FailureKind.QUEUE_FULL})
"""Failures by which an upstream is passed over without having been asked."""

_LARGEST_ERROR = 4 << 20  # bytes of an error's body; Anthropic's have a few hundred


class Attempts:
    """Tries one target."""

    def __init__(self, transport: Transport, retry: RetrySettings, observer: Observer, access_header: str) -> None:
        self._transport = transport
        self._retry = retry
        self._observer = observer
        self._access_header = access_header

    async def until_good(self, exchange: Exchange, target: Target, *, last: bool) -> Reply:
        """A reply that may be sent to the client. Raises AttemptFailed with the last failure.

        `last` says that no other target is left to ask. Where one is, this one is tried again only once: the
        client waits less for the other's answer than for a third refusal.
        """
        limit = self._retry.max_retries if last else min(1, self._retry.max_retries)
        if exchange.request.members is None and exchange.request.method not in {"GET", "HEAD"}:
            limit = 0  # an upload may have been taken although its answer was lost
        upstream, request = target.upstream, exchange.request

        def may_go_on() -> bool:
            # Not where its breaker has opened meanwhile: the next target is asked, and these words are told.
            return last or upstream.admits(request.headers, target.model or request.model)

        return await with_retries(
            lambda: self._once(exchange, target, last), self._retry, retries=limit, may_go_on=may_go_on
        )

    async def _once(self, exchange: Exchange, target: Target, last: bool) -> Reply:
        request, upstream = exchange.request, target.upstream
        attempt = Attempt(upstream.name, target.model or request.model, time.monotonic())
        exchange.attempts.append(attempt)
        try:
            credential = await credential_for(request, upstream)
            if request.counts_tokens and upstream.count_tokens is not CountTokens.PASS:
                return _estimate(exchange, upstream)
            return await self._admitted(exchange, attempt, target, credential, last)
        except AttemptFailed as failed:
            if failed.failure.kind in NOT_ASKED:
                exchange.attempts.pop()
                self._observer.skipped(exchange, upstream.name, failed.failure)
            else:
                attempt.failure = failed.failure
                attempt.ended = time.monotonic()
                self._observer.attempt_failed(exchange, attempt)
            raise
        finally:
            attempt.ended = time.monotonic()

    async def _admitted(
        self, exchange: Exchange, attempt: Attempt, target: Target, credential: Credential | None, last: bool
    ) -> Reply:
        """The reply, where the breakers let the request through and a place is free."""
        upstream, caller = target.upstream, Caller.of(credential, attempt.model)
        # A count of tokens has limits of its own, and a file says nothing of a model: only messages teach a breaker.
        learns = exchange.request.is_messages
        upstream.breaker.check(caller, last_resort=last, probe=learns)  # who will not pass need not queue
        release = await upstream.slots.take()
        reply: Reply | None = None
        try:
            if learns:
                with upstream.breaker.admission(caller, last_resort=last):
                    reply = await self._ask(exchange, attempt, target, credential, caller)
                if reply.body is not None:
                    upstream.breaker.ended_well(caller)
            else:
                reply = await self._ask(exchange, attempt, target, credential, None)
            reply.hold(release)
        except AttemptFailed as failed:
            if not learns:
                upstream.breaker.refused(failed.failure, caller)
            raise
        finally:
            if reply is None:
                release()
        return reply

    async def _ask(
        self, exchange: Exchange, attempt: Attempt, target: Target, credential: Credential | None, caller: Caller | None
    ) -> Reply:
        """The call itself. What becomes of the answer is told to the upstream's breakers, where there is a caller."""
        request, upstream = exchange.request, target.upstream
        attempt.credential = credential.source if credential else ""
        attempt.on_plan = (credential.is_login or upstream.plan) if credential else None
        sent = outbound(request, target, credential, self._access_header)
        noted = self._noting(exchange, attempt, upstream, caller)
        answer: Answer | None = None
        reply: Reply | None = None
        try:
            async with asyncio.timeout(upstream.transport.header_timeout) as wait:
                answer = await self._transport.send(sent, upstream.transport, upstream.name)
                attempt.status = answer.status
                if upstream.native and (quota := read_quota(answer.headers)) is not None:
                    self._note_quota(exchange, attempt, quota, credential)
                spoilt = answer.status == 401 and credential is not None and credential.ours
                if request.members is None and not spoilt:
                    # Not a request for a model's answer: whatever comes back is passed on as it comes.
                    reply = Reply(
                        answer.status,
                        client_headers(answer.headers, upstream.dialect),
                        None,
                        UsageReader(),
                        answer,
                        on_break=noted,
                    )
                elif answer.status >= 300:
                    raise AttemptFailed(await _refusal(answer, exchange, upstream))
                else:
                    withheld = credential.secret if credential is not None and not upstream.native else ""
                    demotion = Demotion(_beginning(attempt, wait)) if upstream.demotes(request) else None
                    reply = await commit(answer, upstream.dialect, request, noted, withheld, demotion)
            return reply
        except TimeoutError:
            seconds = upstream.transport.header_timeout
            failure = Failure(
                FailureKind.TIMEOUT, f"{upstream.name} gave no answer within {seconds:g} s", upstream.name
            )
            raise AttemptFailed(failure) from None
        except AttemptFailed as failed:
            failure = await settled(failed.failure, credential, upstream, request)
            if attempt.usage is not None:
                failure = replace(failure, may_retry=False)  # it had begun, so it is billed
            raise AttemptFailed(failure) from None
        finally:
            if reply is None and answer is not None:
                answer.close()

    def _noting(
        self, exchange: Exchange, attempt: Attempt, upstream: Upstream, caller: Caller | None
    ) -> Callable[[Failure | None], None]:
        """What is done when an answer that streams has ended: whole (None), or broken after its first byte."""

        def note(failure: Failure | None) -> None:
            attempt.ended = time.monotonic()
            if failure is not None:
                attempt.failure = replace(failure, upstream=upstream.name)
                if caller is not None:
                    upstream.breaker.failed(failure)
                self._observer.attempt_failed(exchange, attempt)
            elif caller is not None:
                upstream.breaker.ended_well(caller)

        return note

    def _note_quota(self, exchange: Exchange, attempt: Attempt, quota: Quota, credential: Credential | None) -> None:
        """Now, and not when the answer has ended: so the newest that was told is the newest that came."""
        if not repeats_secret(quota.words, credential, exchange.request):
            attempt.quota = quota
            self._observer.quota_read(exchange, attempt)


def _beginning(attempt: Attempt, wait: asyncio.Timeout) -> Callable[[Usage], None]:
    """What is done when a message that is put together here begins: from here on only silence is limited."""

    def begin(usage: Usage) -> None:
        wait.reschedule(None)
        attempt.usage = usage

    return begin


async def _refusal(answer: Answer, exchange: Exchange, upstream: Upstream) -> Failure:
    try:
        body = await answer.read(_LARGEST_ERROR)
    except BrokenOff as broken:
        return Failure(
            FailureKind.MALFORMED,
            f"{upstream.name} answered with status {answer.status}, but {broken}",
            upstream.name,
        )
    return upstream.dialect.refusal(answer.status, answer.headers, body, exchange.request)


def _estimate(exchange: Exchange, upstream: Upstream) -> Reply:
    """A count for an upstream that cannot count: a 404 or 501 would make Claude Code ask the model instead,
    once for each item (seen with 2.1.197)."""
    if upstream.count_tokens is CountTokens.REJECT:
        raise ForwardingError(
            Failure(
                FailureKind.UNSUPPORTED,
                f"{upstream.name} does not count tokens; set `count_tokens: estimate` for it to have an estimate",
                upstream.name,
            )
        )
    tokens = estimate_tokens(exchange.request.text)
    headers = (("Content-Type", "application/json"), ("x-claude-proxy-estimate", "true"))
    return Reply(200, headers, b'{"input_tokens":%d}' % tokens, UsageReader())
