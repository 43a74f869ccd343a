"""A daemon under a service manager: what it tells when, which sockets it takes, and that it is not fed when stuck."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.asking import ask
from tests.in_process import LOGIN
from tests.managed import Ear, ear, held_sockets, managed, port_of
from tests.paths.held_streams import ASKED, HeldStreams, in_the_middle
from tests.raw_client import connected, request
from tests.stand_in import StandIn

# Run by the interpreter before the daemon: on SIGUSR1 its main thread, and so its event loop, waits for ever.
STUCK_ON_SIGUSR1 = """
import os, signal, threading

def stuck(*_):
    os.write(2, b"stuck now\\n")
    threading.Event().wait()

signal.signal(signal.SIGUSR1, stuck)
"""


def config(upstream: StandIn) -> dict[str, Any]:
    return {"upstreams": {"claude": {"base_url": upstream.url}}}


def is_ready(message: dict[str, str]) -> bool:
    return message.get("READY") == "1"


def is_alive(message: dict[str, str]) -> bool:
    return message.get("WATCHDOG") == "1"


# --- ready ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True])
async def test_it_is_ready_when_it_serves_and_a_connection_made_before_is_answered(
    tmp_path: Path, *, abstract: bool
) -> None:
    address = f"@claude-proxy-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with held_sockets() as (listening,), ear(address) as hearing:
        port = port_of(listening)
        async with connected(port) as early:
            await early.send(request("GET", "/livez", host=f"127.0.0.1:{port}"))
            async with managed(tmp_path, {}, [listening], hearing, wait=False) as daemon:
                ready = await hearing.next()
                assert ready["READY"] == "1"
                assert ready["MAINPID"] == str(daemon.process.pid)
                assert f"http://127.0.0.1:{port}" in ready["STATUS"]
                answer = await early.answer()
                assert answer is not None
                assert answer.status == 200
                assert (await ask(f"http://127.0.0.1:{port}/health", method="GET")).status == 200


async def test_with_a_socket_of_its_own_it_is_ready_when_it_can_be_reached(tmp_path: Path) -> None:
    with ear(str(tmp_path / "notify")) as hearing:
        async with managed(tmp_path, {}, None, hearing, wait=False):
            ready = await hearing.next()
            url = ready["STATUS"].removeprefix("serving on ").partition(",")[0]
            assert is_ready(ready)
            assert (await ask(f"{url}/health", method="GET")).status == 200


async def test_what_does_not_start_is_never_ready(tmp_path: Path) -> None:
    with ear(str(tmp_path / "notify")) as hearing:
        async with managed(tmp_path, {"drain_timeout": "soon"}, None, hearing, wait=False) as daemon:
            assert await daemon.ended() == 78
        assert hearing.waiting() == []


async def test_a_manager_that_has_gone_is_missed_but_not_needed(tmp_path: Path) -> None:
    with ear(str(tmp_path / "notify")) as hearing:
        pass
    async with managed(tmp_path, {}, None, hearing) as daemon:
        assert (await ask(f"{daemon.url}/health", method="GET")).status == 200
        await daemon.logged("event=manager_not_told")


# --- reload, stop --------------------------------------------------------------------------------------


async def test_a_reload_is_told_before_and_after(tmp_path: Path) -> None:
    with ear(str(tmp_path / "notify")) as hearing:
        async with managed(tmp_path, {}, None, hearing) as daemon:
            assert is_ready(await hearing.next())
            for text in ("listen: { port: 0 }\n", "nonsense: [\n"):  # a faulty one is refused, and told alike
                (tmp_path / "config.yaml").write_text(text)
                daemon.signal(signal.SIGHUP)
                reloading = await hearing.next()
                assert reloading["RELOADING"] == "1"
                assert int(reloading["MONOTONIC_USEC"]) > 0
                assert is_ready(await hearing.next())
            await daemon.logged("event=reload_refused")


async def test_stopping_is_told_with_more_time_while_a_stream_runs(tmp_path: Path) -> None:
    held = HeldStreams()
    with held_sockets() as sockets, ear(str(tmp_path / "notify")) as hearing:
        async with (
            StandIn(held.answer) as upstream,
            managed(tmp_path, config(upstream), sockets, hearing) as daemon,
            in_the_middle(daemon.url, held, 1) as (client,),
        ):
            assert is_ready(await hearing.next())
            daemon.signal(signal.SIGTERM)
            stopping = await hearing.next()
            assert stopping["STOPPING"] == "1"
            assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 30_000_000
            assert stopping["STATUS"] == "finishing 1 answers, for 1920 s at most"
            held.let_go()
            assert await client.all() == held.whole
            assert await daemon.ended() == 0


# --- the watchdog --------------------------------------------------------------------------------------


async def signs_of_life(hearing: Ear, number: int, period: float) -> None:
    """So many, each within the time after which a manager would end the process."""
    for _ in range(number):
        await hearing.hears(is_alive, period)


async def test_the_watchdog_is_fed_in_time_and_not_while_the_loop_is_stuck(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STUCK_ON_SIGUSR1)
    period = 2.0
    env = {"WATCHDOG_USEC": str(round(period * 1e6)), "PYTHONPATH": str(tmp_path)}
    with ear(str(tmp_path / "notify")) as hearing:
        async with managed(tmp_path, {}, None, hearing, env) as daemon:
            await signs_of_life(hearing, 3, period)
            daemon.signal(signal.SIGUSR1)
            await daemon.logged("stuck now")
            hearing.waiting()  # those that were sent before
            with pytest.raises(TimeoutError):
                await hearing.next(2 * period)
            # What systemd does then; the log says where it was stuck.
            daemon.signal(signal.SIGABRT)
            assert await daemon.ended() == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in daemon.log
    assert "in stuck" in daemon.log


async def test_the_watchdog_of_another_process_is_not_fed(tmp_path: Path) -> None:
    with ear(str(tmp_path / "notify")) as hearing:
        env = {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
        async with managed(tmp_path, {}, None, hearing, env) as daemon:
            daemon.signal(signal.SIGHUP)
            await daemon.logged("event=reloaded")
        assert hearing.waiting()
        assert not any(map(is_alive, hearing.messages))


# --- sockets -------------------------------------------------------------------------------------------


async def test_it_serves_on_every_socket_that_is_handed_over(tmp_path: Path) -> None:
    held = HeldStreams()
    held.let_go()
    with held_sockets() as (listening,):
        again = listening.dup()
        async with StandIn(held.answer) as upstream, managed(tmp_path, config(upstream), [listening, again]) as daemon:
            assert daemon.port == port_of(listening)
            reply = await ask(f"{daemon.url}/v1/messages", ASKED, LOGIN)
            assert reply.body == held.whole
        again.close()


async def test_the_managers_socket_outlives_the_daemon(tmp_path: Path) -> None:
    with held_sockets() as (listening,):
        async with managed(tmp_path, {}, [listening]) as daemon:
            assert await daemon.stop() == 0
        port = port_of(listening)
        async with connected(port) as waiting:  # nobody serves, and nobody refuses
            await waiting.send(request("GET", "/livez", host=f"127.0.0.1:{port}"))
            async with managed(tmp_path, {}, [listening]):
                answer = await waiting.answer()
                assert answer is not None
                assert answer.status == 200


def unfit_unix(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    listening.listen()
    return listening


def unfit_deaf(_: Path) -> socket.socket:
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    return deaf


def unfit_open(_: Path) -> socket.socket:
    return socket.create_server(("0.0.0.0", 0))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (unfit_unix, "descriptor 3 does not listen on a TCP port"),
        (unfit_deaf, "descriptor 3 does not listen on a TCP port"),
        (unfit_open, "0.0.0.0 can be reached from other machines, and nothing keeps them out: set AUTH_TOKEN"),
    ],
)
async def test_a_socket_that_does_not_fit_is_refused(tmp_path: Path, make: Any, why: str) -> None:
    with make(tmp_path) as unfit:
        async with managed(tmp_path, {}, [unfit], wait=False) as daemon:
            assert await daemon.ended() == 78
    assert daemon.lines[0] == (
        f"claude-proxy: the service manager's socket 'claude-proxy' cannot be used: {why}; "
        "`claude-proxy service install` writes files that fit"
    )


async def test_with_a_token_a_socket_may_be_open_to_others(tmp_path: Path) -> None:
    with unfit_open(tmp_path) as listening:
        env = {"AUTH_TOKEN": "FAKE-token-of-the-proxy"}
        async with managed(tmp_path, {}, [listening], None, env, wait=False) as daemon:
            await daemon.logged(rf"event=listening url=http://0.0.0.0:{port_of(listening)}")


async def test_sockets_that_were_meant_for_another_process_are_left_alone(tmp_path: Path) -> None:
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    with held_sockets() as (listening,):
        async with managed(tmp_path, {}, None, None, env) as daemon:
            assert daemon.port != port_of(listening)
            assert (await ask(f"{daemon.url}/livez", method="GET")).status == 200


async def test_a_second_daemon_says_who_has_the_port(tmp_path: Path) -> None:
    with held_sockets() as sockets:
        async with managed(tmp_path / "first", {}, sockets) as first:
            config = {"listen": {"host": "127.0.0.1", "port": first.port}}
            async with managed(tmp_path / "second", config, wait=False) as second:
                assert await asyncio.wait_for(second.ended(), 20) == 78
            assert f"claude-proxy (pid {first.process.pid})" in second.lines[0]
            assert "Address already in use by " in second.lines[0]
