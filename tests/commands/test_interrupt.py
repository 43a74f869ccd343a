"""Ctrl-C ends a command with the code that shells expect, and says nothing."""

import subprocess
import sys

import pytest

from claude_proxy.commands.interrupt import INTERRUPTED, ends_on_ctrl_c


def test_an_interrupted_block_ends_the_program_with_130() -> None:
    with pytest.raises(SystemExit) as ended, ends_on_ctrl_c():
        raise KeyboardInterrupt
    assert ended.value.code == INTERRUPTED == 130


def test_other_ends_are_left_as_they_are() -> None:
    with ends_on_ctrl_c():
        pass
    with pytest.raises(ZeroDivisionError), ends_on_ctrl_c():
        raise ZeroDivisionError


OPENS_A_SOCKET = """
import socket
from claude_proxy.commands.interrupt import ends_on_ctrl_c

def in_the_middle():
    opened = socket.socket()
    raise KeyboardInterrupt

with ends_on_ctrl_c():
    in_the_middle()
"""


def test_what_was_open_in_the_middle_is_nothing_to_be_warned_of() -> None:
    command = [sys.executable, "-W", "error", "-c", OPENS_A_SOCKET]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
