"""What requests cost in memory: a large body while it passes, a stream while it stays open, nothing afterwards."""

import asyncio
import contextlib
import gc
import re
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from claude_proxy.exchange import Transcript
from claude_proxy.web.outlet import Outlet
from tests.in_process import LOGIN, in_process
from tests.paths.held_streams import HeldStreams
from tests.raw_client import connected, request
from tests.running import Daemon, eventually, running
from tests.stand_in import Received, StandIn, Wire, message_end, message_json, message_start, replies

reads_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")

MB = 1_000_000
LARGE = 60 * MB
STREAMS = 200
HEADERS = [*LOGIN.items(), ("Content-Type", "application/json")]


def memory(daemon: Daemon, field: str) -> int:
    """Bytes: `VmRSS` now, `VmHWM` at most so far (proc(5))."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def body(size: int, stream: bool = False) -> bytes:
    head = b'{"model":"claude-sonnet-4-5","max_tokens":100,"stream":%s,' % (b"true" if stream else b"false")
    return head + b'"messages":[{"role":"user","content":"%s"}]}' % (b"word " * (size // 5))


async def asked(daemon: Daemon, text: bytes) -> int:
    """The status of the answer to a body."""
    host = f"127.0.0.1:{daemon.port}"
    async with connected(daemon.port) as client:
        await client.send(request("POST", "/v1/messages", host=host, headers=HEADERS, body=text))
        answer = await client.answer()
        assert answer is not None
        return answer.status


@reads_proc
async def test_a_large_body_costs_less_than_three_times_its_size_and_is_given_back(tmp_path: Path) -> None:
    async with StandIn(replies(200, message_json())) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with running(tmp_path, config) as daemon:
            assert await asked(daemon, body(1000)) == 200
            base = memory(daemon, "VmRSS")
            text = body(LARGE)
            assert await asked(daemon, text) == 200
            assert upstream.received[-1].body == text
            assert memory(daemon, "VmHWM") - base < 3 * LARGE
            await eventually(lambda: memory(daemon, "VmRSS") - base < LARGE / 2)


@reads_proc
@pytest.mark.parametrize(("over_tls", "most"), [(False, 60_000), (True, 200_000)])
async def test_an_open_stream_costs_little(tmp_path: Path, over_tls: bool, most: int) -> None:
    held, authority = HeldStreams(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with StandIn(held.answer, tls if over_tls else None) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        async with running(tmp_path, config, env) as daemon, contextlib.AsyncExitStack() as stack:
            asking = request(
                "POST", "/v1/messages", host=f"127.0.0.1:{daemon.port}", headers=HEADERS, body=body(1000, stream=True)
            )

            async def begin() -> None:
                client = await stack.enter_async_context(connected(daemon.port))
                await client.send(asking)
                assert await client.read_until(lambda got: held.events[0] in got.raw)

            await begin()
            base = memory(daemon, "VmRSS")
            async with asyncio.TaskGroup() as group:
                for _ in range(STREAMS):
                    group.create_task(begin())
            cost = (memory(daemon, "VmRSS") - base) / STREAMS
            held.let_go()
    assert cost < most


@pytest.mark.parametrize("end", ["whole", "broken off", "left by the client"])
async def test_an_answer_is_let_go_without_the_collector(tmp_path: Path, end: str) -> None:
    """That comes after so many objects, whatever they hold: hundreds of answers waited for it, of up to megabytes."""
    go_on = asyncio.Event()

    async def answer(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(message_start())
        await go_on.wait()
        if end == "broken off":
            wire.reset()
        for event in message_end():
            await wire.chunk(event)
        await wire.end()

    def held() -> int:
        return sum(isinstance(thing, (Transcript, Outlet)) for thing in gc.get_objects())

    async with StandIn(answer) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path, config) as daemon, connected(daemon.port) as client:
            host = f"127.0.0.1:{daemon.port}"
            await client.send(request("POST", "/v1/messages", host=host, headers=HEADERS, body=body(1000, stream=True)))
            assert await client.read_until(lambda got: b"message_start" in got.raw)
            gc.collect()
            gc.disable()
            try:
                assert held() == 2
                if end == "left by the client":
                    client.writer.close()
                    await eventually(lambda: bool(daemon.logged("exchange")))
                go_on.set()
                await eventually(lambda: held() == 0)
            finally:
                gc.enable()
            (line,) = daemon.logged("exchange")
            assert line["end"] == {"whole": "complete", "broken off": "broken"}.get(end, "client_gone")
