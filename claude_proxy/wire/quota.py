"""The subscription's windows as the `anthropic-ratelimit-unified-*` headers state them.

Anthropic documents none of these fields. So what is not known here is kept as text, and what cannot be read counts
as absent and is named: a change of theirs must cost nobody an answer. Lengths and numbers are bounded, since what
is read here is kept and shown.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple

import msgspec

REJECTED = "rejected"

WINDOWS_OF_ALL = frozenset({"5h", "7d"})
"""The windows that bind every model and that every answer states. Any other binds one model, as `7d_oi` does, and
only answers of that model state it."""

_CLAIMS_OF_ALL = frozenset({"five_hour", "seven_day", "overage"})

_PREFIX = "anthropic-ratelimit-unified-"
_START = len(_PREFIX)

# A window is named by its length: `5h`, `7d`, `7d_oi`.
_OF_WINDOW = re.compile(r"([0-9]{1,4}[a-z][a-z0-9_]{0,27})-(?:status|utilization|reset|surpassed-threshold)")

_LONGEST_WORD = 64  # characters of a status, a claim, a reason, a field's name
_LONGEST_KEY = _START + _LONGEST_WORD + 1  # of a longer name this much is enough to see that it is too long
_LONGEST_TEXT = 200  # characters of a field that is not known here
_LONGEST_NUMBER = 32
_MOST = 16  # windows, unknown fields and malformed ones, each
_LARGEST_RATIO = 1000.0
_LATEST = 1e11  # Unix time in seconds, in the year 5138; a time in milliseconds lies beyond it


class Window(NamedTuple):
    """One window: the share of it that is used (0 to 1; 1.02 has been seen), the Unix time of its reset in seconds,
    and the share from which on Anthropic warns, stated once it has been passed."""

    status: str | None = None
    utilization: float | None = None
    reset: float | None = None
    surpassed_threshold: float | None = None


_NOTHING = Window()


class Overage(NamedTuple):
    """What is paid for beyond the plan: its own window, whether it is used now, why it may not be used."""

    window: Window = _NOTHING
    in_use: bool | None = None
    disabled_reason: str | None = None

    @property
    def pays(self) -> bool:
        """Whether requests are answered although a window is spent; the plan's status is `rejected` all the same."""
        return self.in_use if self.in_use is not None else (self.window.status or "").startswith("allowed")


class Quota(msgspec.Struct, frozen=True, dict=True):
    """What an answer said of the plan; None where it said nothing, or nothing that can be read. Several answers that
    said the same may share one.

    `status` is `allowed`, `allowed_warning` or `rejected`, or a word of tomorrow; `reset` is Unix time in seconds;
    `representative_claim` names the window that binds in words of its own (`five_hour`, `seven_day_opus`). `other`
    holds the fields that are not known here, `malformed` names those that could not be read.
    """

    status: str | None = None
    reset: float | None = None
    representative_claim: str | None = None
    windows: Mapping[str, Window] = msgspec.field(default_factory=dict)
    overage: Overage | None = None
    fallback_percentage: float | None = None
    other: Mapping[str, str] = msgspec.field(default_factory=dict)
    malformed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it could be read."""
        return self == Quota(malformed=self.malformed)

    @property
    def spent_until(self) -> float | None:
        """When what is spent is there again, as Unix time in seconds; None where nothing is spent, where that was
        not said, and where paid overage carries on."""
        if self.overage is not None and self.overage.pays:
            return None
        spent = [window.reset for window in self.windows.values() if window.status == REJECTED]
        if self.status != REJECTED and (self.status is not None or not spent):
            return None
        return self.reset if self.reset is not None else max((at for at in spent if at is not None), default=None)

    @property
    def of_one_model(self) -> bool:
        """Whether the window that binds is of one model: where it is spent, the others may still be asked."""
        if self.representative_claim is not None:
            return self.representative_claim not in _CLAIMS_OF_ALL
        spent = {name for name, window in self.windows.items() if window.status == REJECTED}
        return bool(spent) and not spent & WINDOWS_OF_ALL

    @cached_property
    def words(self) -> str:
        """All text in it that the upstream chose, for one who looks for what must not be shown."""
        windows = [*self.windows.values(), *([self.overage.window] if self.overage else [])]
        texts = [self.status, self.representative_claim, self.overage.disabled_reason if self.overage else None]
        texts += [window.status for window in windows]
        return "\n".join([*filter(None, texts), *self.windows, *self.other, *self.other.values(), *self.malformed])


def read_quota(headers: Iterable[tuple[str, str]]) -> Quota | None:
    """The quota that the headers state, or None where they state none. A field that stands twice counts once, as the
    first says it."""
    said = [(name, value) for key, value in headers if len(key) > _START and (name := _field(key[:_LONGEST_KEY]))]
    return _quota(tuple(said)) if said else None


@lru_cache(maxsize=16)
def _quota(said: tuple[tuple[str, str], ...]) -> Quota:
    """Kept for a while: the next answer mostly says the same."""
    fields: dict[str, str] = {}
    for name, value in said:
        fields.setdefault(name, value)
    return _Fields(fields).quota()


@lru_cache(maxsize=256)
def _field(key: str) -> str:
    """A header's name without what all of these begin with, "" where it is none of them."""
    return key[_START:].lower() if key[:_START].lower() == _PREFIX else ""


class _Fields:
    """The fields by their names, taken out one by one: what is left in the end is not known here."""

    def __init__(self, said: dict[str, str]) -> None:
        self._said = said
        self._malformed: list[str] = []

    def quota(self) -> Quota:
        return Quota(
            self._word("status"),
            self._number("reset", _LATEST),
            self._word("representative-claim"),
            self._windows(),
            self._overage(),
            self._number("fallback-percentage", _LARGEST_RATIO),
            self._other(),
            tuple(self._malformed),
        )

    def _windows(self) -> dict[str, Window]:
        windows: dict[str, Window] = {}
        for name in list(self._said):
            if name[0].isdigit() and name in self._said and (found := _OF_WINDOW.fullmatch(name)) is not None:
                window = self._window(found[1])
                if len(windows) == _MOST:
                    self._cannot_read(name)
                elif window is not None:
                    windows[found[1]] = window
        return windows

    def _window(self, name: str) -> Window | None:
        window = Window(
            self._word(f"{name}-status"),
            self._number(f"{name}-utilization", _LARGEST_RATIO),
            self._number(f"{name}-reset", _LATEST),
            self._number(f"{name}-surpassed-threshold", _LARGEST_RATIO),
        )
        return None if window == _NOTHING else window

    def _overage(self) -> Overage | None:
        window = self._window("overage")
        in_use = self._flag("overage-in-use")
        reason = self._word("overage-disabled-reason")
        if window is None and in_use is None and reason is None:
            return None
        return Overage(window or _NOTHING, in_use, reason)

    def _other(self) -> dict[str, str]:
        other: dict[str, str] = {}
        for name, text in self._said.items():
            if len(name) > _LONGEST_WORD or len(other) == _MOST or not _is_text(text, _LONGEST_TEXT):
                self._cannot_read(name)
            else:
                other[name] = text
        return other

    def _word(self, name: str) -> str | None:
        text = self._said.pop(name, "").strip()
        if not text or _is_text(text, _LONGEST_WORD):
            return text or None
        self._cannot_read(name)
        return None

    def _number(self, name: str, largest: float) -> float | None:
        text = self._said.pop(name, "")
        if not text:
            return None
        # float() reads `1_0` and digits of other scripts as well, which no peer means.
        if len(text) <= _LONGEST_NUMBER and text.isascii() and "_" not in text:
            try:
                number = float(text)
            except ValueError:
                number = -1.0
            if 0 <= number <= largest:  # neither is true of `nan`
                return number
        self._cannot_read(name)
        return None

    def _flag(self, name: str) -> bool | None:
        text = self._said.pop(name, "").strip().lower()
        if text in {"true", "false"}:
            return text == "true"
        if text:
            self._cannot_read(name)
        return None

    def _cannot_read(self, name: str) -> None:
        if len(self._malformed) < _MOST:
            self._malformed.append(name[:_LONGEST_WORD])


def _is_text(text: str, longest: int) -> bool:
    return len(text) <= longest and text.isascii() and text.isprintable()
