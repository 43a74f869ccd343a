"""The last body of each conversation, beside which the next one is read."""

from collections.abc import Hashable

from claude_proxy.wire.members import Members

SHORTEST = 16 << 10
"""Bytes; what is shorter is read as fast as it is compared."""

_REMEMBERED = 4 << 20  # bytes of bodies


class LastBodies:
    """Within a bound; that of which nothing came for longest is forgotten first. For the event loop alone.

    Which request belongs to which conversation need not be certain: a body is read the same beside any other.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, Members] = {}
        self._size = 0

    def of(self, conversation: Hashable) -> Members | None:
        return self._last.get(conversation)

    def keep(self, conversation: Hashable, members: Members) -> None:
        if not SHORTEST <= len(members.text) <= _REMEMBERED:
            return
        before = self._last.pop(conversation, None)
        self._last[conversation] = members
        self._size += len(members.text) - (len(before.text) if before is not None else 0)
        while self._size > _REMEMBERED:
            self._size -= len(self._last.pop(next(iter(self._last))).text)
