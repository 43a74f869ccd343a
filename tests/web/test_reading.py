"""The ledger is asked off the event loop, by a few at a time, and nobody waits for it for ever."""

import asyncio
import threading
from pathlib import Path

import pytest

from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Filter, LedgerBusy, LedgerCorrupt, LedgerReader
from claude_proxy.web.errors import Refused
from claude_proxy.web.reading import LedgerReads


@pytest.fixture
def reads(tmp_path: Path) -> LedgerReads:
    return LedgerReads(lambda: SqliteReader(tmp_path / "ledger.db"), patience=5)


async def refusal_of(reads: LedgerReads, error: Exception) -> Refused:
    def question(_: LedgerReader) -> None:
        raise error

    with pytest.raises(Refused) as refused:
        await reads.ask(question)
    return refused.value


async def test_the_answer_comes_from_another_thread(reads: LedgerReads) -> None:
    thread, count = await reads.ask(lambda reader: (threading.get_ident(), reader.count(Filter())))
    assert thread != threading.get_ident()
    assert count == 0


async def test_an_answer_is_json_that_nobody_keeps(reads: LedgerReads) -> None:
    response = await reads.answer(lambda reader: {"n": reader.count(Filter()), "é": None})
    assert response.body == '{"n":0,"é":null}'.encode()
    assert response.headers["Cache-Control"] == "no-store"


async def test_where_nothing_is_recorded_it_is_said_why() -> None:
    with pytest.raises(Refused, match=r"ledger\.enabled is false") as refused:
        await LedgerReads(None).ask(lambda reader: reader.count(Filter()))
    assert (refused.value.status, refused.value.kind) == (404, "no_ledger")


@pytest.mark.parametrize("error", [LedgerBusy("the disk is full"), LedgerCorrupt("it is damaged")])
async def test_a_ledger_that_cannot_answer_is_unavailable_for_now(reads: LedgerReads, error: Exception) -> None:
    refused = await refusal_of(reads, error)
    assert (refused.status, refused.kind, str(refused)) == (503, "ledger", str(error))
    assert ("retry-after", "1") in refused.headers


async def test_a_damaged_file_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no ledger" * 1000)
    reads = LedgerReads(lambda: SqliteReader(tmp_path / "ledger.db"))
    with pytest.raises(Refused, match=r"ledger\.db") as refused:
        await reads.ask(lambda reader: reader.count(Filter()))
    assert refused.value.status == 503


async def test_a_fault_of_ours_is_no_trouble_of_the_ledger(reads: LedgerReads) -> None:
    def question(_: LedgerReader) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await reads.ask(question)


async def test_nobody_waits_for_ever_and_what_hangs_keeps_its_place(tmp_path: Path) -> None:
    reads = LedgerReads(lambda: SqliteReader(tmp_path / "ledger.db"), patience=0.05)
    goes_on, threads = threading.Event(), set[int]()

    def hangs(_: LedgerReader) -> None:
        threads.add(threading.get_ident())
        goes_on.wait(20)

    for _ in range(4):
        with pytest.raises(Refused, match=r"not answered within 0\.05 s"):
            await reads.ask(hangs)
    assert len(threads) == 2
    goes_on.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await reads.ask(lambda reader: reader.count(Filter())) == 0
                break
            except Refused:
                continue


async def test_there_is_room_for_some_questions_and_no_more(reads: LedgerReads) -> None:
    goes_on = threading.Event()
    asked = [asyncio.create_task(reads.ask(lambda _: goes_on.wait(20))) for _ in range(32)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="32 questions to the ledger are waiting already"):
        await reads.ask(lambda reader: reader.count(Filter()))
    goes_on.set()
    assert await asyncio.gather(*asked) == [True] * 32
    assert await reads.ask(lambda reader: reader.count(Filter())) == 0


async def test_who_has_left_leaves_nothing_waiting(reads: LedgerReads) -> None:
    goes_on = threading.Event()
    asked = [asyncio.create_task(reads.ask(lambda _: goes_on.wait(20))) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    goes_on.set()
    assert await reads.ask(lambda reader: reader.count(Filter())) == 0


async def test_forgetting_is_done_on_another_thread_too(tmp_path: Path) -> None:
    threads: list[int] = []

    def clear() -> int:
        threads.append(threading.get_ident())
        return 7

    assert await LedgerReads(lambda: SqliteReader(tmp_path / "ledger.db"), clear).clear() == 7
    assert threads != [threading.get_ident()]
    with pytest.raises(Refused, match=r"ledger\.enabled is false"):
        await LedgerReads(None, clear).clear()
    assert len(threads) == 1
