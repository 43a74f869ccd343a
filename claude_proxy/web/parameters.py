"""The parameters of a request to our own API: read whole, and refused by name where one cannot be meant so."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from aiohttp.web_request import BaseRequest

from claude_proxy.web.errors import Refused

_MOST = 32
_LAST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()
_UNESCAPED_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})$")  # in an address it means a space
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")


class Parameters:
    """Those in a request's address. Raises Refused (400) for one that is not known there, or stands there twice."""

    def __init__(self, request: BaseRequest, known: Collection[str] = ()) -> None:
        _, _, query = request.raw_path.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
        except ValueError:
            raise _bad(f"the parameters cannot be read: at most {_MOST}, percent-encoded UTF-8") from None
        self._given = dict(pairs)
        for name in self._given:
            if name not in known:
                told = f"known here: {', '.join(known)}" if known else "none is known here"
                raise _bad(f"there is no parameter {name[:60]!r}; {told}")
        if len(pairs) > len(self._given):
            raise _bad("a parameter stands there twice, and only one can be meant")

    def text(self, name: str) -> str | None:
        """None where it is not given, or empty."""
        return self._given.get(name) or None

    def integer(self, name: str, default: int, least: int, most: int | None = None) -> int:
        """A whole number within its limits."""
        text = self._given.get(name)
        return default if text is None else self.number(name, text, least, most)

    def number(self, name: str, text: str, least: int, most: int | None = None) -> int:
        """The whole number that a text is. Raises Refused under the name given."""
        number = int(text) if _WHOLE_NUMBER.fullmatch(text) else -1
        if number < least or (most is not None and number > most):
            limits = f"from {least} to {most}" if most is not None else f"from {least} on"
            raise _bad(f"{name}: expected a whole number {limits}, found {text[:60]!r}")
        return number

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of these words."""
        text = self.text(name)
        if text is not None and text not in choices:
            raise _bad(f"{name}: expected one of {', '.join(choices)}, found {text[:60]!r}")
        return text

    def time(self, name: str, *, end: bool = False) -> float | None:
        """Unix time of an ISO 8601 date or time; UTC where it names no offset. A date alone is the day's begin, as an
        `end` the begin of the next."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return _moment(_UNESCAPED_PLUS.sub(r"\1+\2", text.upper()), end=end)
        except (ValueError, OverflowError):
            found = f"found {text[:60]!r}"
            raise _bad(f"{name}: expected a time such as 2026-11-26 or 2026-11-26T12:00:00Z, {found}") from None


def _moment(text: str, *, end: bool) -> float:
    """Within the years that a calendar has: before and after them nothing is recorded."""
    moment = datetime.fromisoformat(text.replace(":60", ":59"))  # a leap second, which Unix time does not count
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if end and len(text) <= len("2026-11-26"):
        seconds += 86400.0
    return min(max(seconds, 0.0), _LAST)


def _bad(message: str) -> Refused:
    return Refused(400, "bad_parameter", message)
