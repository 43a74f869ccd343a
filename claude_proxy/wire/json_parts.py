"""JSON opened one level at a time: what is not looked into keeps its exact bytes.

Numbers of any size, spellings of strings and white space survive, since only the parts that change are written.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

Raw = msgspec.Raw

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_BOM = b"\xef\xbb\xbf"
_GAP = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")


def opened(part: Raw | bytes | None) -> dict[str, Any] | None:
    """An object's members as parts; None where it is no object. The later of two members of one name is taken."""
    found = None if part is None else _bytes(part)
    return dict(_decode_object(found)) if found is not None and found[:1] == b"{" else None


def listed(part: Raw | bytes | None) -> list[Any] | None:
    """A list's items as parts; None where it is no list."""
    found = None if part is None else _bytes(part)
    return list(_decode_list(found)) if found is not None and found[:1] == b"[" else None


def value(part: Any) -> Any:
    """A part decoded whole, None for what no number or text here can hold; what was decoded is given back."""
    try:
        return msgspec.json.decode(_bytes(part)) if isinstance(part, (Raw, bytes)) else part
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None


def text(part: Any) -> str | None:
    """A part that is a string, decoded; None for anything else."""
    if isinstance(part, str):
        return part
    found = _bytes(part) if isinstance(part, (Raw, bytes)) else b""
    if found[:1] != b'"':
        return None
    try:
        return msgspec.json.decode(found, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # half a surrogate pair, or no UTF-8: it stays as it was written


def written(parts: object) -> bytes:
    """Parts, and what replaces some of them, as JSON text."""
    return msgspec.json.encode(parts)


def is_json(found: bytes) -> bool:
    """Whether a text is JSON in UTF-8. Half a surrogate pair and numbers that nobody can hold are legal in it."""
    if b"\0" in found or found.startswith(_BOM):
        return False  # passed over by msgspec, and legal nowhere in it
    try:
        found.decode()
        msgspec.json.decode(found, type=Raw)
    except (UnicodeDecodeError, RecursionError):
        return False
    except msgspec.DecodeError:
        try:
            json.loads(found, parse_constant=_refuse, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return False
    return True


def items(
    text: bytes, start: int, end: int, *, within: bool = False, most: int | None = None
) -> Iterator[tuple[int, int]]:
    """Where the items lie of the list that ends there; it starts there too, or an item `within` it has ended. None of
    them where there are more than `most`."""
    at = start + 1
    if within:
        at = _gap_end(text, start)
        raws = _decode_list(b"[" + text[at:end])
    else:
        raws = _decode_list(memoryview(text)[start:end])
    if most is not None and len(raws) > most:
        return
    for raw in raws:
        at = _gap_end(text, at)
        yield at, at + len(memoryview(raw))
        at += len(memoryview(raw))


def _gap_end(text: bytes, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def items_dropped(array: bytes, dropped: set[int]) -> bytes:
    """The text of a list without some of its items; the others keep their bytes and the space between them."""
    pieces: list[bytes] = []
    at = 1
    for index, item in enumerate(_decode_list(array)):
        gap = _GAP.match(array, at)
        assert gap is not None, "the pattern matches nothing as well"
        end = gap.end() + len(memoryview(item))
        if index not in dropped:
            # The first item that stays has no comma before it.
            pieces.append(
                array[at:end] if pieces else array[at : gap.end()].replace(b",", b"") + array[gap.end() : end]
            )
        at = end
    return b"".join((b"[", *pieces, array[at:]))


def item_replaced(array: bytes, wanted: int, new: bytes) -> bytes:
    """The text of a list with one item replaced."""
    at = 1
    for index, item in enumerate(_decode_list(array)):
        gap = _GAP.match(array, at)
        assert gap is not None, "the pattern matches nothing as well"
        at = gap.end() + len(memoryview(item))
        if index == wanted:
            return array[: gap.end()] + new + array[at:]
    raise IndexError(wanted)


def _bytes(part: Raw | bytes) -> bytes:
    return (part if isinstance(part, bytes) else bytes(memoryview(part))).lstrip(b" \t\r\n")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
