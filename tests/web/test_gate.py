"""The gate: open, closed to new connections while those that are in go on, and open again."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from claude_proxy.web import gate as module
from claude_proxy.web.gate import Gate
from claude_proxy.web.protocol import LimitSettings, Server
from tests.in_process import turns_of_the_loop
from tests.raw_client import connected, request
from tests.running import eventually

ASKED = request(host="127.0.0.1")


async def hello(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def gate() -> AsyncIterator[tuple[Gate, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        found = Gate(Server(hello, LimitSettings()), [listening])
        await found.open()
        try:
            yield found, listening
        finally:
            await found.leave()


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


async def test_a_closed_gate_leaves_what_comes_to_whoever_listens_too() -> None:
    async with gate() as (closed, listening):
        await closed.close()
        async with connected(port_of(listening)) as waiting:
            await waiting.send(ASKED)
            await turns_of_the_loop(10)
            assert not waiting.raw
            taken, _ = listening.accept()  # as another process would
            with taken:
                taken.setblocking(True)
                taken.settimeout(10)
                assert taken.recv(1000) == ASKED


async def test_who_is_in_is_answered_once_more_and_told_that_it_was_the_last_time() -> None:
    async with gate() as (closing, listening), connected(port_of(listening)) as client:
        await client.send(ASKED)
        first = await client.answer()
        assert first is not None
        assert first.header("connection") is None
        await closing.close()
        client.raw.clear()
        await client.send(ASKED)
        outcome = await client.end()
        assert outcome.closed
        assert outcome.final.header("connection") == "close"


async def test_a_connection_that_was_accepted_in_the_same_moment_is_not_lost() -> None:
    async with gate() as (closing, listening):
        port = port_of(listening)
        with socket.create_connection(("127.0.0.1", port)) as client:  # in the kernel: nothing has run since
            client.sendall(ASKED)
            await turns_of_the_loop(2)  # it is accepted in the second, and has no handler yet
            await closing.close()
            assert closing._server.connections  # whoever looks from here on sees it
            client.setblocking(False)
            async with asyncio.timeout(10):
                answer = await asyncio.get_running_loop().sock_recv(client, 1000)
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_open_gate_is_as_it_was_before() -> None:
    async with gate() as (opened, listening):
        await opened.close()
        await opened.open()
        async with connected(port_of(listening)) as client:
            for _ in range(2):
                client.raw.clear()
                await client.send(ASKED)
                answer = await client.answer()
                assert answer is not None
                assert answer.header("connection") is None


async def test_without_descriptors_for_a_while_nobody_is_lost() -> None:
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"].errno))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LACK", 0.0)
        async with gate() as (_, listening):
            client = socket.socket()
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            try:
                with client:
                    client.connect(listening.getsockname())
                    await eventually(lambda: len(told) > 1)
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    client.sendall(ASKED)
                    client.setblocking(False)
                    assert (await asyncio.wait_for(loop.sock_recv(client, 1000), 10)).startswith(b"HTTP/1.1 200 ")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(told) == {errno.EMFILE}


async def test_it_is_quiet_when_nobody_is_in() -> None:
    async with gate() as (quiet, _):
        await asyncio.wait_for(quiet.quiet(), 1)


async def test_it_is_not_quiet_while_a_client_may_be_about_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.3)
    async with gate() as (quiet, listening), connected(port_of(listening)) as client:
        await client.send(ASKED)
        assert await client.answer() is not None
        waiting = asyncio.create_task(quiet.quiet())
        await turns_of_the_loop()
        assert not waiting.done()
        await asyncio.wait_for(waiting, 10)
