"""A stand-in seen from both sides: what it is left, what each tells the other, and what the end of one means."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_proxy.handover import VARIABLE, Handed, Predecessor, StandIn, own_command

# A next version: says that it serves, writes down what it was left and told, ends when it is sent away.
GOOD = f"""
import json, os, pathlib, socket, sys
handed = json.loads(os.environ["{VARIABLE}"])
channel = socket.socket(fileno=handed["channel"])
listening = socket.socket(fileno=handed["sockets"][0])
channel.send(b"s")
told = b"".join(iter(lambda: channel.recv(1), b""))
said = [listening.getsockname()[1], handed["held"], told.decode(), os.getpgid(0) == os.getpid(), sys.stdin.read()]
pathlib.Path(sys.argv[1]).write_text(json.dumps(said))
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def start(program: str, listening: socket.socket, *arguments: str) -> StandIn:
    return StandIn.start([sys.executable, "-c", program, *arguments], [listening], held=True)


@pytest.mark.parametrize(("taken_over", "told"), [(True, '"t"'), (False, '""')])
async def test_a_stand_in_is_left_the_sockets_and_told_why_it_is_sent_away(
    listening: socket.socket, tmp_path: Path, *, taken_over: bool, told: str
) -> None:
    stand_in = start(GOOD, listening, str(tmp_path / "said"))
    assert await asyncio.wait_for(stand_in.serving(), 20)
    stand_in.leave(taken_over=taken_over)
    await asyncio.wait_for(stand_in.gone(), 20)
    port = listening.getsockname()[1]
    assert (tmp_path / "said").read_text() == f'[{port}, true, {told}, true, ""]'
    assert not listening.get_inheritable()
    with pytest.raises(ChildProcessError):  # it has been waited for
        os.waitpid(stand_in.pid, os.WNOHANG)
    stand_in.channel.close()


async def test_one_that_ends_before_it_serves_has_not_served(listening: socket.socket) -> None:
    stand_in = start("raise SystemExit(78)", listening)
    assert not await asyncio.wait_for(stand_in.serving(), 20)
    await asyncio.wait_for(stand_in.gone(), 20)
    stand_in.leave(taken_over=False)  # does not matter any more
    stand_in.channel.close()


async def test_one_can_be_ended_at_once_and_its_number_is_not_signalled_afterwards(listening: socket.socket) -> None:
    stand_in = start("import time; time.sleep(60)", listening)
    stand_in.kill()
    await asyncio.wait_for(stand_in.gone(), 20)
    stand_in.pid = os.getpid()
    stand_in.kill()
    stand_in.reload()
    stand_in.channel.close()


async def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing_behind(listening: socket.socket) -> None:
    with pytest.raises(FileNotFoundError):
        StandIn.start(["/nowhere/claude-proxy"], [listening], held=False)
    assert not listening.get_inheritable()


@pytest.mark.parametrize(("byte", "taken_over"), [(b"t", True), (b"", False)])
async def test_a_predecessor_says_whether_it_serves_again(byte: bytes, *, taken_over: bool) -> None:
    ours, theirs = socket.socketpair()
    predecessor = Predecessor(theirs.detach())
    predecessor.we_serve()
    assert ours.recv(10) == b"s"
    ours.send(byte)
    ours.close()
    assert await asyncio.wait_for(predecessor.sends_away(), 20) is taken_over
    predecessor.we_serve()  # to nobody
    predecessor.close()


def test_what_is_handed_over_is_read_as_it_was_written() -> None:
    for handed in (Handed([3, 4], held=True), Handed([7], held=False, channel=9), Handed([7], True, None, [[8, 4312]])):
        again = Handed.read(handed.written())
        assert again.written() == handed.written()


# --- the command ---------------------------------------------------------------------------------------


def test_a_program_is_started_by_the_name_that_it_was_started_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what a link led to then: an upgrade may have turned it elsewhere."""
    (tmp_path / "version-1").touch()
    (tmp_path / "claude-proxy").symlink_to(tmp_path / "version-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["./claude-proxy", "serve", "--port", "1"])
    assert own_command() == [str(tmp_path / "claude-proxy"), "serve", "--port", "1"]


def test_a_module_is_started_by_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/venv/lib/claude_proxy/__main__.py", "serve"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "claude_proxy", "serve"])
    assert own_command() == [sys.executable, "-m", "claude_proxy", "serve"]
