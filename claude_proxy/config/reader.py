"""Reads typed values out of a mapping, and complains of all that do not fit instead of stopping at the first."""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from claude_proxy.config.tree import Complaint, Node, looks_secret, quoted

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB|KB|MB|GB)?", re.IGNORECASE)
_UNIT_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1000, "mb": 10**6, "gb": 10**9}


class Reader:
    """One mapping of the configuration. Each method reads one setting, or complains and gives a stand-in."""

    def __init__(self, node: Node, path: str, complaints: list[Complaint]) -> None:
        self.node = node
        self.path = path
        self.complaints = complaints
        self._known: set[str] = set()
        if not isinstance(node.value, dict):
            self.complain(None, "expected a mapping of settings")
            self.node = Node({}, node.place)

    def complain(self, key: str | None, message: str) -> None:
        node = self.node.value.get(key) if key is not None and isinstance(self.node.value, dict) else None
        place = node.place if node is not None else self.node.place
        path = f"{self.path}.{key}".lstrip(".") if key is not None else self.path
        self.complaints.append(Complaint(place, path, message))

    def _expected(self, key: str, what: str) -> None:
        value = self.get(key)
        if isinstance(value, (dict, list)):
            found = "a mapping" if isinstance(value, dict) else "a list"
        else:
            found = "nothing" if value is None else ("a secret" if looks_secret(str(value)) else quoted(value))
        self.complain(key, f"expected {what}, found {found}")

    def get(self, key: str) -> Any:
        """The raw value, or None where it is absent."""
        self._known.add(key)
        node = self.node.value.get(key)
        return None if node is None else node.value

    def _left_out(self, key: str) -> bool:
        """Whether a setting is not written at all; one without a value is written, and says nothing."""
        return key not in self.node.value

    def names(self) -> Iterable[str]:
        return list(self.node.value)

    def section(self, key: str) -> "Reader":
        """A mapping inside this one."""
        self._known.add(key)
        node = self.node.value.get(key) or Node({}, self.node.place)
        return Reader(node, f"{self.path}.{key}".lstrip("."), self.complaints)

    def items(self, key: str) -> list["Reader"]:
        """The mappings of a list."""
        value = self.get(key)
        if not isinstance(value, list):
            self._expected(key, "a list")
            return []
        prefix = f"{self.path}.{key}".lstrip(".")
        return [Reader(node, f"{prefix}[{index}]", self.complaints) for index, node in enumerate(value)]

    def text(self, key: str, default: str = "") -> str:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self._expected(key, "text")
            return default
        return value.strip()

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(node.value, str) for node in value):
            self._expected(key, "a list of texts, such as [a, b]")
            return ()
        return tuple(node.value for node in value)

    def choice(self, key: str, choices: Iterable[str], default: str = "") -> str:
        value = self.text(key, default)
        options = list(choices)
        if value and value not in options:
            near = _nearest(value, options, 0.6)
            hint = f"; did you mean {near!r}?" if near else ""
            self.complain(key, f"expected one of {', '.join(options)}, found {quoted(value)}{hint}")
            return default or options[0]
        return value

    def boolean(self, key: str, *, default: bool = False) -> bool:
        value = self.get(key)
        if self._left_out(key):
            return default
        if not isinstance(value, bool):
            self._expected(key, "true or false")
            return default
        return value

    def integer(self, key: str, low: int, high: int, default: int = 0) -> int:
        value = self.get(key)
        if self._left_out(key):
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._expected(key, f"a whole number from {low} to {high}")
            return default or low
        return value

    def decimal(self, key: str, most: int, places: int) -> str | None:
        """A number that is not negative, in plain digits and exact; None where it is absent."""
        value = self.get(key)
        if value is None:
            return None
        try:
            number = None if isinstance(value, (bool, dict, list)) else Decimal(str(value))
        except InvalidOperation:
            number = None
        finite = number is not None and number.is_finite()
        if number is None or not finite or not 0 <= number <= most or number != round(number, places):
            self._expected(key, f"a number from 0 to {most} with at most {places} decimal places")
            return None
        return f"{number:f}"

    def duration(self, key: str, default: float = 0.0) -> float:
        """Seconds."""
        value = self.get(key)
        if self._left_out(key):
            return default
        match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
        if match is None:
            self._expected(key, "a duration such as 500ms, 10s or 5m")
            return default
        return float(match[1]) * _UNIT_SECONDS[match[2]]

    def size(self, key: str, low: int) -> int:
        """Bytes."""
        value = self.get(key)
        match = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
        if match is None or (size := int(match[1]) * _UNIT_BYTES[(match[2] or "B").lower()]) < low:
            self._expected(key, f"a size of at least {low} bytes, such as 64MiB")
            return low
        return size

    def finish(self, extra: Mapping[str, str] | None = None) -> None:
        """Complains of every key that nothing has read. `extra` gives a hint of its own for some keys."""
        for key in self.node.value:
            if key in self._known:
                continue
            near = _nearest(key, sorted(self._known), 0.5)
            hint = (extra or {}).get(key) or (
                f"did you mean {near!r}?" if near else f"known here: {', '.join(sorted(self._known))}"
            )
            place = self.node.keys.get(key, self.node.place)
            path = f"{self.path}.{key}".lstrip(".")
            self.complaints.append(Complaint(place, path, f"unknown setting; {hint}"))


def _nearest(word: str, known: Sequence[str], likeness: float) -> str | None:
    from difflib import get_close_matches  # for faults alone

    return next(iter(get_close_matches(word, known, 1, likeness)), None)
