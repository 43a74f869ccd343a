"""What a body repeats of an earlier one, so that it need not be read again.

A conversation sends all of itself with each turn: of a megabyte a few kilobytes are new. To compare the rest with what
was read before takes a tenth of the time that JSON takes, and the look at its encoding.
"""

from collections.abc import Iterable, Mapping, Sequence

Place = tuple[int, int]
"""Where something begins and ends in a text, in bytes."""

WORTH = 1 << 10
"""Bytes; what is shorter is read again."""

_STEP = 64 << 10  # bytes that are compared at once


def new_part(text: bytes, earlier: bytes) -> Place:
    """What of a text an earlier one has not: what lies before begins that one, what lies behind ends it.

    Both places are at a beginning of a character of either text, where the earlier one is UTF-8.
    """
    view = memoryview(earlier)
    start, step, most = 0, _STEP, min(len(text), len(earlier))
    while step:
        if start + step <= most and text.startswith(view[start : start + step], start):
            start += step
        else:
            step //= 2
    end, longer, step = len(text), len(earlier) - len(text), _STEP
    least = max(start, -longer)
    while step:
        if end - step >= least and text.endswith(view[end - step + longer : end + longer], 0, end):
            end -= step
        else:
            step //= 2
    if start:
        start -= 1  # the byte there is the same in both: where it begins a character, it does so in both
    while start and _goes_on(text[start]):
        start -= 1
    while end < len(text) and _goes_on(text[end]):
        end += 1
    return start, end


def _goes_on(byte: int) -> bool:
    """Whether it goes on with a character of UTF-8 that has begun before."""
    return byte & 0xC0 == 0x80


def repeated(new: Place, shift: int, values: Iterable[Place], first_items: Place | None) -> list[Place]:
    """Which of an earlier text's values stand in this one as a whole, in order: where they do here.

    `new` is what that text has not, by `shift` bytes this one is longer. `first_items` are those of one of the values,
    which goes on differently.
    """
    start, end = new
    found = [] if first_items is None else [first_items]
    for first, last in values:
        if last - first < WORTH:
            continue
        # A number may go on where another one ended: what follows is the same, too.
        if last < start:
            found.append((first, last))
        elif first + shift >= end:
            found.append((first + shift, last + shift))
    return sorted(found)


def shortened(text: bytes, holes: Sequence[Place]) -> bytes:
    """The text with a number of one digit in place of each of these parts."""
    pieces: list[bytes] = []
    at = 0
    for start, end in holes:
        pieces += (text[at:start], b"0")
        at = end
    return b"".join((*pieces, text[at:]))


def places_in_whole(
    places: Mapping[str, Place], holes: Sequence[Place], first_items: Place | None
) -> dict[str, Place] | None:
    """Where a text has the values that were found in it as it was `shortened`; both are in order.

    Each hole must be a value by itself, but for the first items of a list. None where one is not: it looks like the
    value of the earlier text and stands in the midst of something else.
    """
    left = list(reversed(holes))
    shift = 0
    found: dict[str, Place] = {}
    for name, (start, end) in places.items():
        whole = start + shift
        while left and left[-1][0] < end + shift:
            first, last = left.pop()
            if (first, last) != first_items and (first, end) != (whole, start + 1):
                return None
            shift += last - first - 1
        found[name] = (whole, end + shift)
    return None if left else found
