"""The fault matrix: each fault met by a request, alone and with a second target, streaming and not; what then is so.

A cell is observed over real sockets. The matrix of all cells is `docs/faults.md`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_proxy.upstreams.breaker import BreakerState, CircuitBreaker
from claude_proxy.upstreams.breakers import Breakers
from tests.asking import ask, sse_events
from tests.claude_request import claude_body
from tests.closed_port import refusing_url
from tests.in_process import LOGIN
from tests.paths.faults import ALWAYS, JSON, LATER, STREAMED, Fault
from tests.paths.two_upstreams import EVENTS, MESSAGE, TwoUpstreams, upstreams
from tests.raw_client import Answer as RawAnswer
from tests.raw_client import connected, request
from tests.running import eventually
from tests.stand_in import says

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"

REFUSED = "connection refused"
FAULTS: Mapping[str, Fault] = {REFUSED: Fault(says(), again=True), **ALWAYS, **STREAMED, **LATER}

TABLES: Mapping[tuple[bool, bool], str] = {
    (True, False): "A stream, one target",
    (True, True): "A stream, two targets",
    (False, False): "No stream, one target",
    (False, True): "No stream, two targets",
}
"""Whether a stream is asked for, whether there is a second target; and the table of such cells."""

_AT: Mapping[str, dict[str, Any]] = {
    "client": {},
    "ours": {"credential": "ours"},
    "minimax": {"credential": "minimax", "dialect": "minimax"},
}
_CREDENTIALS = {
    "claude": {"sources": ["client"]},
    "ours": {"sources": ["env:OUR_KEY"]},
    "minimax": {"sources": ["env:MINIMAX_API_KEY"]},
}
_KEYS = {"OUR_KEY": "sk-ant-api03-FAKE-of-ours", "MINIMAX_API_KEY": "FAKE-minimax-key"}


@dataclass(frozen=True)
class Cell:
    """What became of one request. `seen` is what the client saw; `asked` how often each target was; `failures` the
    failed attempts as log and metrics have them, which agree."""

    seen: str
    end: str
    asked: str
    breaker: str
    failures: str

    def row(self, name: str) -> str:
        return f"| {name} | {self.seen} | {self.end} | {self.asked} | {self.breaker} | {self.failures} |"


@dataclass(frozen=True)
class Observed:
    """A cell, and the bare facts that the promises are about."""

    cell: Cell
    answer: RawAnswer | None
    asked: tuple[int, int]


def cells() -> list[tuple[str, bool, bool]]:
    """Every cell: the fault's name, whether a stream is asked for, whether there is a second target."""
    return [
        (name, stream, two)
        for stream, two in TABLES
        for name in FAULTS
        if stream or (name not in STREAMED and name not in LATER)
    ]


async def observe(home: Path, name: str, *, stream: bool, two: bool) -> Observed:
    """Sends one request into this fault and looks at everything that came of it."""
    fault = FAULTS[name]
    patience = {"header_timeout": "300ms", "stream_idle_timeout": "300ms"} if fault.silent else {}
    with ExitStack() as stack:
        at = stack.enter_context(refusing_url()) if name == REFUSED else None
        async with upstreams(
            home,
            fault.answer,
            alone=not two,
            at=at,
            settings={**_AT[fault.of], **patience},
            env=_KEYS,
            credentials=_CREDENTIALS,
        ) as house:
            house.first.then(*fault.before)
            answer = None
            if fault.endless:
                await _leave_in_the_middle(house)
            else:
                answer = await house.ask(stream=stream)
            drain = house.daemon.house.drain
            await eventually(lambda: drain.in_flight == 0)
            routes = house.daemon.house.forwarder.routes.upstreams
            assert [(one.slots.in_use, one.slots.waiting) for one in routes.values()] == [(0, 0)] * len(routes)
            (line,) = house.daemon.logged("exchange")
            attempts = answer.header("x-claude-proxy-attempts") if answer else len(house.first.received)
            asked = int(attempts or 0) - len(house.second.received)
            cell = Cell(
                seen="events until it left" if answer is None else _seen(answer),
                end=line["end"],
                asked=f"{asked} + {len(house.second.received)}" if two else str(asked),
                breaker=_breaker(routes["first"].breaker, house.daemon.logged("breaker_open")),
                failures=await _failures(house),
            )
            return Observed(cell, answer, (asked, len(house.second.received)))


async def _leave_in_the_middle(house: TwoUpstreams) -> None:
    headers = [*LOGIN.items(), JSON]
    host = f"127.0.0.1:{house.daemon.port}"
    async with connected(house.daemon.port) as client:
        await client.send(request("POST", "/v1/messages", host=host, headers=headers, body=claude_body(stream=True)))
        assert await client.read_until(lambda so_far: len(so_far.raw) > 1 << 20)
    await house.first.wait_for(lambda: house.first.open_connections == 0)


def _seen(answer: RawAnswer) -> str:
    if answer.body in {b"".join(EVENTS), MESSAGE}:
        return "the second's answer"
    own = answer.header("x-claude-proxy-error")
    if answer.status >= 400:
        return f"{answer.status} `{own}`, our words" if own else f"{answer.status}, its own words"
    assert answer.status == 200
    if answer.header("content-type") != "text/event-stream":
        return "its answer"
    events = sse_events(answer.body)
    errors = [data for name, data in events if name == "error"]
    assert len(errors) <= 1, "never two errors"
    if not errors:
        assert events[-1][0] == "message_stop", "an answer without an end"
        return "its answer"
    assert events[-1][0] == "error"
    whose = "ours" if "(claude-proxy req_" in errors[0]["error"]["message"] else "its own"
    return f"what came, then an error event: {whose}" if len(events) > 1 else f"an error event: {whose}"


def _breaker(breakers: Breakers, opened: Sequence[Mapping[str, Any]]) -> str:
    """`opened` are the lines that told of it, and for how long: how much of that is left depends on the machine."""
    parts = [f"{part.of}: {_state(part.breaker, opened)}" for part in breakers.parts()]
    assert len(parts) <= 1, "else which of them was opened for how long?"
    if breakers.counted and not parts:
        parts.append(f"{breakers.counted} counted")
    return ", ".join(parts) or "closed"


def _state(breaker: CircuitBreaker, opened: Sequence[Mapping[str, Any]]) -> str:
    if breaker.state is BreakerState.HALF_OPEN:
        return "ready for a probe"
    if breaker.dead:
        return "open until its store changes"
    return "open until the reset" if breaker.retry_in > 1e6 else f"open for {opened[-1]['for_s']} s"


_ERRORS = re.compile(r'^claude_proxy_upstream_errors_total\{kind="(\w+)",upstream="(\w+)"\} (\d+)', re.MULTILINE)


async def _failures(house: TwoUpstreams) -> str:
    """Failed attempts by kind; the metrics say the same as the log."""
    logged = Counter((record["kind"], record["upstream"]) for record in house.daemon.logged("attempt_failed"))
    metrics = (await ask(f"{house.daemon.url}/metrics", method="GET")).body.decode()
    counted = Counter({(kind, upstream): int(number) for kind, upstream, number in _ERRORS.findall(metrics)})
    assert logged == counted
    assert {upstream for _, upstream in logged} <= {"first"}
    return ", ".join(f"{number} `{kind}`" for (kind, _), number in logged.items()) or "none"


HEAD = """\
# What goes wrong, and what then happens

Each line was observed: the daemon stood before an upstream that fails in this way, and a request went through it.
The tests print this page and compare it (`tests/paths/test_fault_matrix.py`; `UPDATE_DOCS=1 scripts/test
tests/paths/test_fault_matrix.py` writes it anew). What shall be so for each fault stands in `tests/paths/faults.py`.

- *client sees*: "its own words" are the upstream's answer, untouched; "our words" an error of the daemon's, whose
  kind the header `x-claude-proxy-error` names.
- *end*: how the exchange is recorded, in the log line `event=exchange` and in `claude_proxy_requests_total`.
- *asked*: how often each target was asked. The waits between are shortened here, and two retries allowed.
- *breaker*: what the first target's breaker made of it: whose affair it is, and for how long that is left alone.
- *failures*: failed attempts by kind, one log line `event=attempt_failed` each, counted alike in
  `claude_proxy_upstream_errors_total`.
"""
_COLUMNS = (
    "| the first target | client sees | end | asked | breaker | failures |\n| --- | --- | --- | --- | --- | --- |"
)


def document(observed: Mapping[tuple[str, bool, bool], Cell]) -> str:
    """The page, for cells that were observed."""
    pages = [HEAD]
    for (stream, two), title in TABLES.items():
        rows = [observed[cell].row(cell[0]) for cell in cells() if cell[1:] == (stream, two)]
        pages.append("\n".join((f"\n## {title}\n", _COLUMNS, *rows, "")))
    return "".join(pages)


def documented(text: str) -> dict[tuple[str, bool, bool], str]:
    """The rows of the page, each under its cell."""
    titles = {title: table for table, title in TABLES.items()}
    rows: dict[tuple[str, bool, bool], str] = {}
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        for row in _rows(body.splitlines()):
            rows[(row.split(" | ")[0].removeprefix("| "), *titles[title])] = row
    return rows


def _rows(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if line.startswith("| ") and not line.startswith(("| ---", "| the first target"))]
