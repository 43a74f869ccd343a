"""JSON edited as text: an object's members are found and spliced, and no other byte changes.

Nothing is ever written out anew. A new member takes the gap and the colon of the one before it, so that it looks
like its neighbours and its removal leaves what stood there before. Where a key stands twice the last one counts,
as in JSON.parse.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

_BLANK = re.compile(r"[ \t\n\r]*")
_NO_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')  # or a string, within which these say nothing


class NotJson(ValueError):
    """Not JSON, or not an object where one is needed; `line` and `column` begin with 1."""

    def __init__(self, what: str, text: str, at: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = text.count("\n", 0, at) + 1
        self.column = at - text.rfind("\n", 0, at)


class Member(NamedTuple):
    """One member of an object: from its key's quote at `start` to the end of its value at `end`."""

    key: str
    start: int
    key_end: int
    value: int
    end: int


class JsonObject(NamedTuple):
    """An object in a text: where its braces stand, and its members in order."""

    text: str
    opened: int
    closed: int
    members: tuple[Member, ...]

    def find(self, key: str) -> Member | None:
        """The member of that name that counts."""
        return next((member for member in reversed(self.members) if member.key == key), None)

    def raw(self, member: Member) -> str:
        """A member's value as it is written."""
        return self.text[member.value : member.end]

    def gap(self, member: Member) -> str:
        """The blanks before a member's key."""
        before = self.text[: member.start]
        return before[len(before.rstrip(" \t\n\r")) :]

    @property
    def inner(self) -> str:
        """What stands between the braces."""
        return self.text[self.opened + 1 : self.closed]


def parse_value(raw: str) -> Any:
    """A value's meaning; numbers as they are written."""
    return _decoder(raw).decode(raw)


def read_object(text: str, at: int = 0) -> JsonObject:
    """The object that begins at `at`, and with 0 the one that is the whole text. Raises NotJson."""
    decoder = _decoder(text)
    opened = _skip(text, at)
    try:
        _, end = decoder.raw_decode(text, opened)
        if at == 0 and (rest := _skip(text, end)) < len(text):
            raise NotJson("something follows after the end", text, rest)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg[:1].lower() + error.msg[1:], text, error.pos) from None
    except RecursionError:
        raise NotJson("the values are nested too deeply", text, opened) from None
    if text[opened] != "{":
        raise NotJson("an object was expected here", text, opened)
    return JsonObject(text, opened, end - 1, _members(text, opened + 1, decoder.raw_decode))


def _members(text: str, at: int, decode: Callable[[str, int], tuple[Any, int]]) -> tuple[Member, ...]:
    """Of an object that is known to be well-formed."""
    found = []
    at = _skip(text, at)
    while text[at] != "}":
        key, key_end = decode(text, at)
        value = _skip(text, _skip(text, key_end) + 1)
        _, end = decode(text, value)
        found.append(Member(key, at, key_end, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return tuple(found)


def append(found: JsonObject, key: str, raw: str, lines: "Lines") -> str:
    """The text with a new last member; `lines` says how it stands where there is no neighbour to look at."""
    text = found.text
    if not found.members:
        inner = f"{lines.inner}{json.dumps(key)}: {raw}{lines.closing}"
        return text[: found.opened + 1] + inner + text[found.closed :]
    last = found.members[-1]
    colon = text[last.key_end : last.value]
    return f"{text[: last.end]},{found.gap(last)}{json.dumps(key)}{colon}{raw}{text[last.end :]}"


def replace(found: JsonObject, member: Member, raw: str) -> str:
    """The text with another value in a member's place."""
    return found.text[: member.value] + raw + found.text[member.end :]


def remove(found: JsonObject, member: Member, inner: str = "") -> str:
    """The text without a member; `inner` is what then stands between the braces where it was the only one."""
    text, index = found.text, found.members.index(member)
    if len(found.members) == 1:
        return text[: found.opened + 1] + inner + text[found.closed :]
    if index == len(found.members) - 1:
        return text[: found.members[index - 1].end] + text[member.end :]
    return text[: member.start] + text[found.members[index + 1].start :]


class Lines(NamedTuple):
    """How an object is laid out that has no member yet: what stands before its first, and before its brace."""

    inner: str = ""
    closing: str = ""

    @classmethod
    def of_file(cls, text: str) -> "Lines":
        """For the outermost object."""
        end = "\r\n" if "\r\n" in text else "\n"
        return cls(f"{end}  ", end)

    @classmethod
    def within(cls, outer: JsonObject, gap: str) -> "Lines":
        """For an object within another one whose members have this gap before them."""
        _, newline, indent = _last_line(gap)
        if not newline:
            return cls()
        *_, outer_indent = _last_line(outer.text[: outer.closed])
        is_deeper = (
            not outer_indent.strip(" \t") and len(outer_indent) < len(indent) and indent.startswith(outer_indent)
        )
        step = indent[len(outer_indent) :] if is_deeper else indent
        return cls(f"{newline}{indent}{step}", f"{newline}{indent}")


def _last_line(text: str) -> tuple[str, str, str]:
    """A text taken apart at its last line end, which may be CRLF, LF or CR."""
    match = re.search(r"(\r\n|\n|\r)([^\r\n]*)\Z", text)
    return (text[: match.start()], match[1], match[2]) if match else (text, "", "")


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _decoder(text: str) -> json.JSONDecoder:
    def refuse(name: str) -> NoReturn:
        # Python's own reader takes NaN and Infinity, JSON.parse does not.
        at = next(found.start() for found in _NO_STRING.finditer(text) if found[0] == name)
        raise NotJson(f"{name} is not JSON", text, at)

    # As text: a number with thousands of digits is refused by int().
    return json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse)
