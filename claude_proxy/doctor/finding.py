"""What a check has found: how it stands, in words, and what mends it."""

from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    """How one thing stands. SKIP: it was not looked at, or does not concern this set-up."""

    OK = "ok"
    SKIP = "skip"
    WARN = "warn"
    FAIL = "fail"


_GRAVITY = (Mark.SKIP, Mark.OK, Mark.WARN, Mark.FAIL)


def gravest(marks: list[Mark]) -> Mark:
    """The one that stands for all of them; SKIP where there is none."""
    return max(marks, key=_GRAVITY.index, default=Mark.SKIP)


class Finding(NamedTuple):
    """`says` is the cause with its place. `command` mends it as it stands, in this shell; `advice` is what to do in
    words: an edit, or what comes besides the command. `of` names what it is about, where a check looks at several."""

    mark: Mark
    says: str
    command: str = ""
    advice: str = ""
    of: str = ""


def ok(says: str, of: str = "") -> Finding:
    return Finding(Mark.OK, says, of=of)


def skip(says: str, of: str = "") -> Finding:
    return Finding(Mark.SKIP, says, of=of)


def warn(says: str, command: str = "", advice: str = "", of: str = "") -> Finding:
    return Finding(Mark.WARN, says, command, advice, of)


def fail(says: str, command: str = "", advice: str = "", of: str = "") -> Finding:
    return Finding(Mark.FAIL, says, command, advice, of)
