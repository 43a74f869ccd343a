"""What the manager is told, byte for byte; and that signs of life come from the event loop itself."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.notify import Notifier
from tests.managed import Ear, ear


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[Ear]:
    with ear(str(tmp_path / "notify")) as found:
        yield found


def notifier(hearing: Ear, **variables: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": hearing.address, **variables})


async def test_all_lines_of_a_message_come_in_one_datagram(hearing: Ear) -> None:
    notifier(hearing).tell("READY=1", "STATUS=a = b")
    assert await hearing.next() == {"READY": "1", "STATUS": "a = b"}


async def test_a_name_of_the_abstract_namespace_is_understood(tmp_path: Path) -> None:
    with ear(f"@claude-proxy-{tmp_path.name}") as hearing:
        notifier(hearing).tell("READY=1")
        assert await hearing.next() == {"READY": "1"}


async def test_what_is_said_when(hearing: Ear) -> None:
    telling = notifier(hearing)
    before = time.monotonic_ns() // 1000
    telling.ready("serving")
    telling.reloading()
    telling.stopping("2 answers", 30.0)
    assert await hearing.next() == {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "serving"}
    reloading = await hearing.next()
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert await hearing.next() == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "30000000", "STATUS": "2 answers"}


def test_without_a_manager_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    silent = Notifier({})
    silent.ready("serving")
    assert silent.watchdog == 0.0
    assert caplog.records == []


def test_a_manager_that_does_not_listen_is_told_of_in_the_log(hearing: Ear, caplog: pytest.LogCaptureFixture) -> None:
    hearing.close()
    with caplog.at_level(logging.WARNING):
        notifier(hearing).ready("serving")
    (record,) = caplog.records
    assert record.getMessage() == "manager_not_told"


def test_a_manager_that_does_not_read_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its queue is full: the message is dropped, and said so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        telling = Notifier({"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        for _ in range(10_000):
            telling.tell("WATCHDOG=1")
            if caplog.records:
                break
    assert caplog.records[0].getMessage() == "manager_not_told"


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
    ],
)
def test_the_watchdog_wants_signs_twice_in_its_time(hearing: Ear, variables: dict[str, str], seconds: float) -> None:
    assert notifier(hearing, **variables).watchdog == seconds


async def test_the_watchdog_is_fed_by_the_loop_and_starves_when_that_is_stuck(hearing: Ear) -> None:
    feeding = asyncio.create_task(notifier(hearing, WATCHDOG_USEC="20000").feed_watchdog())
    for _ in range(3):
        assert await hearing.next() == {"WATCHDOG": "1"}
    hearing.waiting()
    hearing.socket.settimeout(0.5)  # fifty times as long as it ever takes
    with pytest.raises(TimeoutError):
        hearing.socket.recv(100)  # the loop itself is stuck here, waiting for what it would have to send
    hearing.socket.setblocking(False)
    assert await hearing.next() == {"WATCHDOG": "1"}
    feeding.cancel()


async def test_without_a_watchdog_nothing_is_fed(hearing: Ear) -> None:
    await notifier(hearing).feed_watchdog()
    assert hearing.waiting() == []
