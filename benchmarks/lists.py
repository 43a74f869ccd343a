"""How long the API's lists and sums take over a large ledger: by the processor, and by the clock."""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp.test_utils import make_mocked_request

from claude_proxy.ledger.record import AttemptRecord, ExchangeRecord
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Change
from claude_proxy.web.conversations import ConversationsDoor
from claude_proxy.web.reading import LedgerReads
from claude_proxy.web.requests import RequestsDoor
from claude_proxy.web.stats import StatsDoor
from claude_proxy.wire.usage import Usage

MODELS = ("claude-opus-4-8", "claude-sonnet-5-5", "claude-haiku-4-5", "MiniMax-M2")
DAYS = 90
TURNS = 80  # of a conversation
TARGETS = (
    "/api/requests",
    "/api/requests/summary",
    "/api/requests?page=1000",
    "/api/requests?model=MiniMax-M2",
    "/api/requests?model=nobody",
    "/api/requests?project=/home/someone/p3",
    "/api/requests?session=session-1",
    "/api/requests?agent=sub",
    "/api/requests?outcome=failed",
    "/api/requests?upstream=nobody",
    "/api/conversations",
    "/api/conversations/session-1",
    "/api/stats",
    "/api/stats/today",
    "/api/stats/dashboard",
    "/api/stats/hourly",
)


def record(number: int, accepted: float) -> ExchangeRecord:
    """One exchange of a busy user: four models, twenty projects, a fifth by subagents, one in a hundred failed."""
    model, session = MODELS[number % len(MODELS)], f"session-{number // TURNS}"
    return ExchangeRecord(
        f"req_cp_{number:024x}",
        accepted,
        "POST",
        "/v1/messages",
        asked_model=model,
        model=model,
        stream=True,
        session=session,
        conversation=session,
        agent="agent-1" if number % 5 == 0 else None,
        project=f"/home/someone/p{number // TURNS % 20}",
        organization="organization-1",
        user_agent="claude-cli/2.1.197 (external, cli)",
        upstream="claude",
        route="everything",
        credential="client",
        status=200,
        end="failed" if number % 100 == 0 else "complete",
        first_byte_ms=250,
        total_ms=1500,
        attempts=(AttemptRecord("claude", model, "client", 1, 1500, 200),),
        usage=Usage(10, 20, 300, 4000),
        stop_reason="end_turn",
        list_value=5_000_000,
        billed=0,
        covered=5_000_000,
        rate_limit={"unified-status": "allowed", "unified-5h-utilization": "0.42"},
    )


def fill(file: Path, number: int) -> None:
    """So many exchanges over the last ninety days."""
    begin = time.time() - DAYS * 86400
    with closing(SqliteStore(file)) as store:
        for first in range(0, number, 500):
            batch = range(first, min(first + 500, number))
            store.write([Change(record(each, begin + each * DAYS * 86400 / number)) for each in batch])


class Asked:
    """`LedgerReads` without its threads: what a question itself takes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        with closing(SqliteReader(self._file)) as reader:
            return question(reader)

    answer = LedgerReads.answer


def door(target: str, reads: Any) -> Callable[..., Any]:
    path = target.partition("?")[0]
    requests, stats, conversations = RequestsDoor(reads), StatsDoor(reads), ConversationsDoor(reads)
    doors: dict[str, Callable[..., Any]] = {
        "/api/requests": requests.list,
        "/api/requests/summary": requests.summary,
        "/api/conversations": conversations.list,
        "/api/stats": stats.all,
        "/api/stats/today": stats.today,
        "/api/stats/dashboard": stats.dashboard,
        "/api/stats/hourly": stats.hourly,
    }
    return doors.get(path, conversations.one)


def measure(target: str, file: Path, rounds: int, runner: asyncio.Runner) -> tuple[float, float]:
    """Milliseconds of the processor and of the clock, medians."""
    answers = door(target, Asked(file))
    used, took = [], []
    for _ in range(rounds + 1):
        processor, clock = time.process_time(), time.perf_counter()
        assert runner.run(answers(make_mocked_request("GET", target))).status == 200
        used.append((time.process_time() - processor) * 1000)
        took.append((time.perf_counter() - clock) * 1000)
    return statistics.median(used[1:]), statistics.median(took[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=11)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "ledger.db"
        begin = time.perf_counter()
        fill(file, chosen.exchanges)
        took = time.perf_counter() - begin
        print(f"{chosen.exchanges} exchanges written in {took:.0f} s, {file.stat().st_size / 1e6:.0f} MB")
        print(f"{'processor':>12} {'clock':>12}")
        with asyncio.Runner() as runner:
            for target in TARGETS:
                used, took = measure(target, file, chosen.rounds, runner)
                print(f"{used:9.1f} ms {took:9.1f} ms  {target}")


if __name__ == "__main__":
    main()
