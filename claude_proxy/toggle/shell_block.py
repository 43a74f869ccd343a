"""A marked block in a shell's start-up file: written, found again, and taken out to the byte.

Whether the file ended with a line end can be read off the block itself: where it did not, the line end before the
block is ours and none follows it. So no record is needed to restore the file. Files are bytes here: a shell's file
need not be UTF-8.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from claude_proxy.toggle.refusals import InvalidText

BEGIN = b"# >>> claude-proxy >>>"
END = b"# <<< claude-proxy <<<"
_NOTE = b"# Written by `proxy-toggle enable`; `proxy-toggle disable` removes these lines."

_BLOCK = re.compile(
    rb"^" + re.escape(BEGIN) + rb"[ \t\r]*\n(?:.*\n)*?" + re.escape(END) + rb"(?=[ \t\r]*$)", re.MULTILINE
)
_EXPORT = re.compile(rb"^ +(?:export|set -gx) ([A-Z_]+)[= ](.+)$", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+")


class Syntax(NamedTuple):
    """How a shell says it: a test for the flag file, an assignment, an end."""

    test: str
    export: str
    end: str


POSIX = Syntax("if [ -f {flag} ]; then", "  export {name}={value}", "fi")
FISH = Syntax("if test -f {flag}", "    set -gx {name} {value}", "end")


def render(syntax: Syntax, flag: str, home: str, variables: Mapping[str, str]) -> bytes:
    """The block, without a line end after it. It exports only while the flag file exists, so that a copy of the file
    on another machine, or one that was restored, sends nobody to a proxy that is not there."""
    lines = [
        syntax.test.format(flag=_quoted_path(syntax, flag, home)),
        *(syntax.export.format(name=name, value=_quoted(syntax, value)) for name, value in variables.items()),
        syntax.end,
    ]
    return b"\n".join((BEGIN, _NOTE, *(line.encode("utf-8", "surrogateescape") for line in lines), END))


class Shell(StrEnum):
    """Whose lines are evaluated: fish's own, or those of every other."""

    POSIX = "posix"
    FISH = "fish"


def set_line(shell: Shell, name: str, value: str) -> str:
    """A line to evaluate that sets a variable. fish's ends so that `eval (…)`, which joins lines, does as well."""
    if shell is Shell.FISH:
        return f"set -gx {name} {_quoted(FISH, value)};"
    return f"export {name}={_quoted(POSIX, value)}"


def unset_line(shell: Shell, name: str) -> str:
    """A line to evaluate that removes one."""
    return f"set -e {name};" if shell is Shell.FISH else f"unset {name}"


def put(text: bytes, block: bytes, name: str) -> bytes:
    """The text with the block: in the place of the one that is there, else at the end.

    Raises InvalidText, naming the file `name`.
    """
    found = find(text, name)
    if found:
        first = found[0]
        text = remove(text, found[1:])
        return text[: first.start] + block + text[first.end :]
    if text and not text.endswith(b"\n"):
        return text + b"\n" + block
    return text + block + b"\n"


class Block(NamedTuple):
    """One block in a text: where, and what it exports."""

    start: int
    end: int
    text: bytes

    @property
    def variables(self) -> dict[str, str]:
        found = {}
        for name, value in _EXPORT.findall(self.text):
            try:
                words = shlex.split(value.decode("utf-8", "replace"))
            except ValueError:
                words = []
            found[name.decode()] = words[0] if len(words) == 1 else ""
        return found


def find(text: bytes, name: str) -> list[Block]:
    """Every block in the text. Raises InvalidText where one is not closed: no safe place for an edit is known."""
    found = [Block(match.start(), match.end(), match[0]) for match in _BLOCK.finditer(text)]
    for match in re.finditer(rb"^" + re.escape(BEGIN), text, re.MULTILINE):
        if not any(block.start == match.start() for block in found):
            line = text.count(b"\n", 0, match.start()) + 1
            raise InvalidText(
                f"{name}:{line}: the block that begins here has no end ({END.decode()}); nothing was changed. "
                "Remove its lines by hand, then try again"
            )
    return found


def remove(text: bytes, blocks: Sequence[Block]) -> bytes:
    """The text without these blocks."""
    for block in sorted(blocks, key=lambda block: block.start, reverse=True):
        start, end = block.start, block.end
        if text[end : end + 1] == b"\n":
            end += 1
        elif end == len(text) and text[start - 1 : start] == b"\n":
            start -= 1  # the line end that was missing before
        text = text[:start] + text[end:]
    return text


def _quoted_path(syntax: Syntax, path: str, home: str) -> str:
    if path.startswith(f"{home}/") and _PLAIN.fullmatch(path.removeprefix(home)):
        return f'"$HOME{path.removeprefix(home)}"'
    return _quoted(syntax, path)


def _quoted(syntax: Syntax, text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if syntax is FISH:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return shlex.quote(text)
