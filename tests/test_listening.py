"""The sockets that are listened on: launchd's through its own call, systemd's by their variables, else our own."""

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_proxy.config.load import load
from claude_proxy.config.settings import Settings
from claude_proxy.listening import CannotListen, Listening, from_launchd, from_systemd, listen

_ACTIVATE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.POINTER(ctypes.c_int)),
    ctypes.POINTER(ctypes.c_size_t),
)


class System:
    """libSystem as launchd's manual describes it, called through C's own calling convention."""

    def __init__(self, descriptors: list[int], failure: int = 0) -> None:
        self.freed: list[int] = []
        self.asked: list[bytes] = []
        self._memory = (ctypes.c_int * max(1, len(descriptors)))(*descriptors)
        self._number = len(descriptors)
        self._failure = failure
        self.launch_activate_socket = _ACTIVATE(self._activate)
        self.free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.freed.append)

    def _activate(
        self,
        name: bytes,
        descriptors: "ctypes._Pointer[ctypes._Pointer[ctypes.c_int]]",
        count: "ctypes._Pointer[ctypes.c_size_t]",
    ) -> int:
        self.asked.append(name)
        if not self._failure:
            descriptors[0] = ctypes.cast(self._memory, ctypes.POINTER(ctypes.c_int))
            count[0] = self._number
        return self._failure

    @property
    def address(self) -> int:
        return ctypes.addressof(self._memory)


def settings(tmp_path: Path, text: str = "listen: { port: 0 }\n") -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load(file, {})


# --- launchd -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descriptors", [[5], [7, 9], []])
def test_launchd_hands_its_descriptors_over_and_its_memory_is_given_back(descriptors: list[int]) -> None:
    system = System(descriptors)
    assert from_launchd(lambda: system) == descriptors
    assert system.asked == [b"claude-proxy"]
    assert system.freed == [system.address]


@pytest.mark.parametrize("failure", [errno.ESRCH, errno.ENOENT])
def test_where_launchd_has_nothing_for_us_there_is_nothing(failure: int) -> None:
    system = System([5], failure)
    assert from_launchd(lambda: system) == []
    assert system.freed == []


def test_where_launchd_fails_it_is_said() -> None:
    with pytest.raises(CannotListen, match="launchd did not hand its socket over: "):
        from_launchd(lambda: System([5], errno.EALREADY))


# --- systemd -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "descriptors"),
    [
        ({}, []),
        ({"LISTEN_FDS": "2"}, []),
        ({"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}, [3, 4]),
        ({"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid() + 1)}, []),
        ({"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}, []),
        ({"LISTEN_FDS": "some", "LISTEN_PID": str(os.getpid())}, []),
    ],
)
def test_systemds_descriptors_begin_at_three_and_are_for_one_process(
    variables: dict[str, str], descriptors: list[int]
) -> None:
    assert from_systemd(variables) == descriptors


# --- our own -------------------------------------------------------------------------------------------


def test_without_a_manager_a_socket_is_bound_that_no_child_inherits(tmp_path: Path) -> None:
    listening = listen(settings(tmp_path), {})
    try:
        assert not listening.held
        (own,) = listening.sockets
        assert not own.get_inheritable()
        assert own.gettimeout() == 0.0
        assert listening.url == f"http://127.0.0.1:{listening.port}"
        socket.create_connection(("127.0.0.1", listening.port)).close()
    finally:
        listening.close()


def test_a_port_that_is_taken_is_told_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as refused:
            listen(settings(tmp_path, f"listen: {{ port: {port} }}\n"), {})
    assert str(refused.value).startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")
    assert (f"(pid {os.getpid()})" in str(refused.value)) == (sys.platform == "linux")
    assert f"lsof -i :{port}" in str(refused.value)
    assert f"--port {port + 1}" in str(refused.value)


def on_ipv6() -> socket.socket:
    return socket.create_server(("::1", 0), family=socket.AF_INET6)


@pytest.mark.parametrize(
    ("make", "url"),
    [
        (lambda: socket.create_server(("127.0.0.1", 0)), "http://127.0.0.1:{port}"),
        pytest.param(
            on_ipv6, "http://[::1]:{port}", marks=pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
        ),
    ],
)
def test_it_is_said_where_it_listens(make: Callable[[], socket.socket], url: str) -> None:
    with make() as made:
        listening = Listening([made], held=True)
        assert listening.url == url.format(port=listening.port)
