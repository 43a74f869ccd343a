"""A line for each request as it ends, and a thin one for each try that failed, while it happens."""

import re
import time
from collections.abc import Callable

from claude_proxy.exchange import Attempt, End, Exchange
from claude_proxy.failures import Failure
from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.wire.messages import MESSAGES, ClientRequest
from claude_proxy.wire.quota import Quota

HEAD = (
    f"{'TIME':8} {'FOR':5} {'MODEL':17} {'UPSTREAM':9} {'CODE':>4} {'TRIES':>5} {'FIRST':>6} {'IN':>5} {'OUT':>5} "
    f"{'LIST $':>7}"
)

_MODEL = 17  # characters of a model's name that are shown
_DAY = re.compile(r"-20\d{6}$")  # the date at the end of a model's full name
_THIN = " " * 9 + "· "
_SHORT_NAMES = {"quota_probe": "quota", "web_search": "web"}


class Table:
    """Observes the daemon; `show` takes one line. FIRST is the time from a request's arrival to its answer's first
    byte; IN counts cached tokens too; LIST $ is what the API would charge for all tries together."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._pricing = Pricing()
        self._plan = ""

    def began(self, exchange: Exchange) -> None:
        """Its line comes when it ends."""

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        self._show(f"{_THIN}{upstream} was passed over: {failure.message}")

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        plan = _plan(attempt.quota) if attempt.quota is not None else ""
        if plan and plan != self._plan:
            self._plan = plan
            self._show(f"{_THIN}{attempt.upstream} says of the plan: {plan}")

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        kind = attempt.failure.kind.value if attempt.failure else "failed"
        status = f"{attempt.status} " if attempt.status else ""
        self._show(f"{_THIN}{attempt.upstream} failed: {status}{kind}, after {_time(attempt.started, attempt.ended)}")

    def closed(self, exchange: Exchange) -> None:
        request, usage = exchange.request, exchange.usage
        read = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        line = (
            f"{time.strftime('%H:%M:%S', time.localtime(exchange.accepted))} {_purpose(request):5} "
            f"{_DAY.sub('', request.model or request.path)[:_MODEL]:{_MODEL}} → {exchange.upstream or '-':7} "
            f"{exchange.status or '-':>4} {len(exchange.attempts):>5} "
            f"{_time(exchange.started, exchange.first_byte):>6} "
            f"{_tokens(sum(filter(None, read))):>5} {_tokens(usage.output_tokens or 0):>5} "
            f"{_price(self._pricing.of(exchange).list_value):>7}"
        )
        self._show(line if exchange.end is End.COMPLETE else f"{line}  {exchange.end}")


def _purpose(request: ClientRequest) -> str:
    """What Claude Code wants it for, in at most five letters."""
    if request.counts_tokens:
        return "count"
    if request.background is not None:
        return _SHORT_NAMES.get(request.background, request.background)
    if request.agent_id:
        return "agent"
    return "main" if request.path == MESSAGES else "other"


def _plan(quota: Quota) -> str:
    used = ((name, window.utilization) for name, window in quota.windows.items())
    return ", ".join(f"{share:.0%} of {name} used" for name, share in used if share is not None)


def _time(start: float, end: float | None) -> str:
    if end is None:
        return "-"
    seconds = end - start
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def _price(value: int | None) -> str:
    return "-" if value is None else dollars(value, 5)


def _tokens(count: int) -> str:
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 100_000 else f"{count // 1000}k"
