"""One question over a bare socket: whole answers, bounded ones, and whoever does not speak HTTP."""

import asyncio
import time
from pathlib import Path

import pytest

from claude_proxy.loopback_http import Answer, NotHttp, get
from tests.closed_port import refusing_url
from tests.in_process import in_process
from tests.stand_in import StandIn, hangs, raw, replies, resets

HEAD = b"HTTP/1.1 200 OK\r\nX-Thing: a: b \r\n"


async def asked(port: int, patience: float = 5.0, largest: int = 1 << 20) -> Answer:
    return await asyncio.to_thread(get, "127.0.0.1", port, "/health", patience, largest)


async def test_the_daemon_answers(tmp_path: Path) -> None:
    async with in_process(tmp_path, {}) as daemon:
        answer = await asked(daemon.port)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert b'"version"' in answer.body


async def test_it_is_asked_for_what_is_wanted() -> None:
    async with StandIn(replies(200, b"{}")) as other:
        await asked(other.port)
        [received] = other.received
        assert (received.method, received.path) == ("GET", "/health")
        assert received.header("host") == f"127.0.0.1:{other.port}"


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (HEAD + b"Content-Length: 2\r\n\r\nok and more", b"ok"),
        (HEAD + b"Content-Length: 9\r\n\r\nok", b"ok"),  # it ends before what it promised
        (HEAD + b"\r\nuntil the end", b"until the end"),
    ],
)
async def test_an_answer_ends_with_its_length_or_with_the_connection(sent: bytes, body: bytes) -> None:
    async with StandIn(raw(sent)) as other:
        assert await asked(other.port) == Answer(200, (await asked(other.port)).headers, body)
        assert (await asked(other.port)).headers["x-thing"] == "a: b"


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 \r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\xff\x00\r\n\r\n"]
)
async def test_what_is_not_http(sent: bytes) -> None:
    async with StandIn(raw(sent)) as other:
        with pytest.raises(NotHttp):
            await asked(other.port)


async def test_no_more_is_read_than_wanted() -> None:
    async with StandIn(raw(HEAD + b"\r\n" + b"x" * 500_000)) as other:
        assert len((await asked(other.port, largest=1000)).body) < 200_000


async def test_it_has_a_time_for_all_of_it() -> None:
    async with StandIn(hangs()) as other:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await asked(other.port, patience=0.05)
    assert time.monotonic() - begun >= 0.05


async def test_nobody_is_there_or_hangs_up() -> None:
    with refusing_url() as url, pytest.raises(ConnectionRefusedError):
        await asked(int(url.rpartition(":")[2]))
    async with StandIn(resets()) as other:
        with pytest.raises(ConnectionResetError):
            await asked(other.port)
