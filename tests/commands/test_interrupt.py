"""Ctrl-C ends a command with the code that shells expect, and says nothing."""

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
