"""Whatever becomes of the ledger's disk, requests are answered; afterwards it is recorded again, nothing torn."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Filter
from tests.asking import Reply, ask
from tests.claude_request import claude_body, claude_headers
from tests.in_process import LOGIN
from tests.paths.test_ledger import Ledger, ledger_of
from tests.running import Daemon, eventually, running
from tests.stand_in import StandIn, says

ALL = Filter()
FLUSH = 0.02
LATE = 1.0
"""Seconds that writing may take once the flush interval is over, on a machine that is busy."""


def config(upstream: StandIn, **ledger: Any) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}, "ledger": {"flush_interval": "50ms", **ledger}}


async def answered(daemon: Daemon, text: str = "say hi") -> Reply:
    reply = await ask(f"{daemon.url}/v1/messages", claude_body(text), claude_headers(LOGIN))
    assert reply.status == 200
    return reply


async def counted(daemon: Daemon, name: str) -> float:
    metrics = (await ask(f"{daemon.url}/metrics", None, method="GET")).body.decode()
    return float(
        next(line for line in metrics.splitlines() if line.startswith(f"claude_proxy_ledger_{name} ")).split()[1]
    )


async def test_a_ledger_that_another_process_has_locked_delays_nobody_and_is_written_afterwards(tmp_path: Path) -> None:
    async with StandIn(says()) as upstream, running(tmp_path, config(upstream, queue_records=20)) as daemon:
        ledger = Ledger(tmp_path)
        await answered(daemon)
        await ledger.ended(1)
        with contextlib.closing(sqlite3.connect(ledger_of(tmp_path), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for _ in range(15):  # of each two wait: more than may
                await answered(daemon)
            await daemon.logged("event=ledger_waits .*another process holds it locked")
            await daemon.logged("event=ledger_records_dropped ")
            other.execute("ROLLBACK")
        await ledger.when(lambda found: len(found) >= 10)
        await answered(daemon)
        await ledger.when(lambda found: found[0].end is not None)
        assert await counted(daemon, "records_dropped_total") >= 10
    ledger.reader.close()
    assert daemon.log.count("event=ledger_records_dropped") == 1


async def test_a_disk_that_is_full_delays_nobody_and_is_written_when_there_is_space(tmp_path: Path) -> None:
    """The limit of a file's size is what stands in for the disk: SQLite meets it as a write that fails."""
    async with StandIn(says()) as upstream, running(tmp_path, config(upstream)) as daemon:
        ledger = Ledger(tmp_path)
        await answered(daemon)
        await ledger.ended(1)
        pid = daemon.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
        before = [await answered(daemon, "x" * 3000) for _ in range(5)]
        await daemon.logged("event=ledger_waits .*(full|cannot be read or written|cannot be used)")
        before.append(await answered(daemon))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
        found = await ledger.ended(7)
        assert {reply.headers["x-claude-proxy-request-id"] for reply in before} < {record.id for record in found}
        assert ledger.reader.faults() == []
        ledger.reader.close()
        assert await counted(daemon, "records_dropped_total") == 0


async def test_a_damaged_ledger_is_set_aside_by_name_and_a_new_one_begun(tmp_path: Path) -> None:
    ledger_of(tmp_path).parent.mkdir(parents=True)
    ledger_of(tmp_path).write_bytes(os.urandom(100_000))
    async with StandIn(says()) as upstream, running(tmp_path, config(upstream)) as daemon:
        await answered(daemon)
        told = await daemon.logged(r"event=ledger_set_aside .*file=(\S+)")
        ledger = Ledger(tmp_path)
        await ledger.ended(1)
        ledger.reader.close()
    assert Path(told[1]).stat().st_size == 100_000


async def test_a_directory_that_cannot_be_written_keeps_nobody_from_being_answered(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with (
        StandIn(says()) as upstream,
        running(tmp_path, config(upstream, url=f"sqlite://{tmp_path}/file/ledger.db")) as daemon,
    ):
        await answered(daemon)
        await daemon.logged("event=ledger_waits .*cannot be used now")
        await answered(daemon)


async def test_a_second_daemon_is_told_who_has_the_ledger(tmp_path: Path) -> None:
    async with StandIn(says()) as upstream, running(tmp_path, config(upstream)) as first:
        async with running(tmp_path, config(upstream), wait=False) as second:
            assert await second.ended() == 78
        told = second.log
        assert f"is held by claude-proxy (pid {first.process.pid})" in told
        assert "ledger.url" in told
        other = config(upstream, url=f"sqlite://{tmp_path}/other.db")
        async with running(tmp_path, other) as third:
            await answered(third)
        await answered(first)


# --- killed ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(home: Path) -> Iterator[SqliteReader]:
    with contextlib.closing(SqliteReader(ledger_of(home))) as reader:
        yield reader


@pytest.mark.timeout(240)
async def test_killed_at_any_moment_a_ledger_is_whole_and_has_what_is_older_than_the_flush_interval(
    tmp_path: Path,
) -> None:
    chance = random.Random(20261126)
    acknowledged: list[str] = []
    async with StandIn(says("an answer " * 200)) as upstream:
        for _ in range(20):
            async with running(tmp_path, config(upstream, flush_interval=f"{FLUSH}s")) as daemon:
                answers: list[tuple[float, str]] = []

                async def load(daemon: Daemon, answers: list[tuple[float, str]]) -> None:
                    with contextlib.suppress(OSError):
                        while True:
                            reply = await answered(daemon, f"{chance.random()} " * 300)
                            answers.append((time.monotonic(), reply.headers["x-claude-proxy-request-id"]))
                            await asyncio.sleep(0.02)  # or this process takes what the daemon's thread needs

                loads = [asyncio.create_task(load(daemon, answers)) for _ in range(4)]
                await eventually(lambda: len(answers) > 4)  # noqa: B023 - called within this turn of the loop
                await asyncio.sleep(LATE + chance.random() * 0.3)
                killed = time.monotonic()
                daemon.signal(signal.SIGKILL)
                await daemon.ended()
                await asyncio.gather(*loads, return_exceptions=True)
            acknowledged += [of for at, of in answers if at < killed - FLUSH - LATE]
            with contextlib.closing(sqlite3.connect(ledger_of(tmp_path))) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with reading(tmp_path) as reader:
        ids = {record.id for record in reader.records(ALL, 100_000)}
        assert reader.faults() == []
    assert set(acknowledged) <= ids
    assert len(acknowledged) > 100


async def test_two_versions_that_hand_over_record_into_one_ledger(tmp_path: Path) -> None:
    async with StandIn(says()) as upstream, running(tmp_path, config(upstream)) as daemon:
        answers = [await answered(daemon)]
        daemon.signal(signal.SIGUSR2)
        while daemon.log.count("event=listening ") < 3:  # the first, the one that stood in, and the first's successor
            answers.append(await answered(daemon))
            await asyncio.sleep(0.02)  # the processes that start need the processor too
        answers += [await answered(daemon) for _ in range(5)]
        assert await daemon.stop() == 0
    with reading(tmp_path) as reader:
        records = reader.records(ALL, 100_000)
        assert reader.faults() == []
    assert {record.id for record in records} == {reply.headers["x-claude-proxy-request-id"] for reply in answers}
    assert {record.end for record in records} == {"complete"}
    assert "ledger_" not in daemon.log
