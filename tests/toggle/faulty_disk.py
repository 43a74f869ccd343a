"""A disk on which the n-th system call fails, or is the last that the process makes."""

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NoReturn, ParamSpec, TypeVar

from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.refusals import ToggleRefused

P = ParamSpec("P")
T = TypeVar("T")


class Fault(Enum):
    """What happens at the n-th call."""

    FAILS = auto()
    KILLED = auto()
    """The process is ended just after the call, of a write after half of its bytes."""


class FaultyDisk(Disk):
    """The first call is number 0. `reached`: the n-th one was made."""

    def __init__(self, number: int, fault: Fault) -> None:
        self._left = number
        self.fault = fault

    @property
    def reached(self) -> bool:
        return self._left < 0

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        self._left -= 1
        if self._left != -1:
            return function(*arguments, **named)
        if self.fault is Fault.FAILS:
            raise OSError(errno.EIO, "Input/output error")
        with contextlib.suppress(OSError):
            if function is os.write:
                write_half(*arguments)
            else:
                function(*arguments, **named)
        return die()


def write_half(*arguments: Any) -> None:
    descriptor, data = arguments
    os.write(descriptor, data[: len(data) // 2])


def die() -> NoReturn:
    """As with `kill -9`: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


def was_hit(act: Callable[[Disk], object], disk: FaultyDisk) -> bool:
    """Does something with the disk, in a process of its own where it may be killed; whether it came to that call."""
    if disk.fault is Fault.FAILS:
        with contextlib.suppress(ToggleRefused):
            act(disk)
        return disk.reached
    child = os.fork()
    if child == 0:
        code = 2
        try:
            act(disk)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed in a way of its own"
    return False
