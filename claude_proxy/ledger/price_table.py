"""What models cost, as the snapshot beside this file states it: found by name, and by the time of the call.

The snapshot is made of genai-prices by `scripts/prices`. It is read when a price is first asked for.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import msgspec

from claude_proxy.directories import PACKAGE

Rate = tuple[tuple[int, int], ...]
"""A price by the size of the prompt: (tokens, picodollars); the last whose tokens are exceeded is that of all."""


class Rates(msgspec.Struct, frozen=True):
    """Picodollars for a token of each kind, and for a web search; None where it has no price of its own."""

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write_5m: Rate | None = None
    cache_write_1h: Rate | None = None
    web_search: Rate | None = None


KINDS = Rates.__struct_fields__

_DAY = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$|[-@]latest$")
_VERSION = re.compile(r"-v\d+(?::\d+)?$")  # Amazon's: anthropic.claude-opus-4-5-20251101-v1:0
_WINDOW = re.compile(r"\[[^]]*\]$")  # Claude Code's: claude-opus-4-8[1m]


class _Model(msgspec.Struct):
    id: str
    provider: str
    prices: msgspec.Raw  # of a thousand models a few are asked for
    names: list[str] = []
    begin: list[str] = []
    match: list[str] = []
    variants: msgspec.Raw = msgspec.Raw(b"{}")
    us: str | None = None


class _Snapshot(msgspec.Struct):
    source: str
    dated: str
    models: list[_Model]


class ModelPrices:
    """The prices of one model. `variants` are those of a tier or speed, laid over the ordinary ones."""

    def __init__(self, model: _Model) -> None:
        self.id = model.id
        self.provider = model.provider
        self.us = Decimal(model.us) if model.us else None
        """By what an answer is dearer that was computed in the US alone; None where that is not offered."""
        self._prices = [(*_when(given), rates(given)) for given in msgspec.json.decode(model.prices)]
        self.variants = {name: rates(given) for name, given in msgspec.json.decode(model.variants).items()}

    def at(self, at: float) -> Rates:
        """The ordinary prices at a moment (Unix time, seconds): the last of those that apply then."""
        if len(self._prices) == 1:
            return self._prices[0][2]
        moment = datetime.fromtimestamp(at, UTC)
        day, clock = moment.date().isoformat(), f"{moment:%H:%M:%S}"
        for since, daily, prices in reversed(self._prices):
            if since <= day and (daily is None or _within(clock, *daily)):
                return prices
        return self._prices[0][2]


class PriceTable:
    """The snapshot, read when it is first looked into."""

    def __init__(self, text: bytes | None = None) -> None:
        self._text = text
        self._found: dict[str, ModelPrices | None] = {}

    @property
    def source(self) -> str:
        """Where the prices come from, with the version."""
        return self._snapshot.source

    @property
    def dated(self) -> str:
        """The day of the newest change in it, ISO 8601."""
        return self._snapshot.dated

    def find(self, model: str) -> ModelPrices | None:
        """The prices of a model by its name in any spelling: with a provider in front, a date or `[1m]` behind."""
        if model not in self._found:
            if len(self._found) >= 1000:  # names come from clients
                self._found.clear()
            found = self._look_up(model)
            self._found[model] = ModelPrices(found) if found is not None else None
        return self._found[model]

    def _look_up(self, model: str) -> _Model | None:
        names = list(spellings(model))
        for name in names:
            if (found := self._by_name.get(name)) is not None:
                return found
            for beginning, each in self._by_beginning:
                if name.startswith(beginning):
                    return each
        # Last, since to compile these takes longer than all the rest; only unusual names come so far.
        return next((each for name in names for pattern, each in self._by_pattern if pattern.search(name)), None)

    @cached_property
    def _snapshot(self) -> _Snapshot:
        text = self._text or (PACKAGE / "ledger/prices.json").read_bytes()
        return msgspec.json.decode(text, type=_Snapshot)

    @cached_property
    def _by_name(self) -> Mapping[str, _Model]:
        # Of two that know a name the first is taken.
        return {name: model for model in reversed(self._snapshot.models) for name in model.names}

    @cached_property
    def _by_beginning(self) -> list[tuple[str, _Model]]:
        return [(text, model) for model in self._snapshot.models for text in model.begin]

    @cached_property
    def _by_pattern(self) -> list[tuple[re.Pattern[str], _Model]]:
        return [(re.compile(pattern), model) for model in self._snapshot.models for pattern in model.match]


def spellings(model: str) -> Iterator[str]:
    """The names under which a model may stand in the snapshot, as it is given first."""
    name = _WINDOW.sub("", model.strip().lower())
    yield name
    bare = _VERSION.sub("", name.rpartition("/")[2].rpartition("anthropic.")[2])
    if bare != name:
        yield bare
    undated = _DAY.sub("", bare)
    if undated != bare:
        yield undated


def rates(given: Mapping[str, Any]) -> Rates:
    """Prices in USD per million tokens, and per thousand web searches, in picodollars for each."""
    return Rates(
        **{kind: _rate(given[kind], 10**9 if kind == "web_search" else 10**6) for kind in KINDS if kind in given}
    )


def _rate(given: Any, scale: int) -> Rate:
    base, tiers = (given, []) if isinstance(given, str) else given
    return ((0, _whole(base, scale)), *((tokens, _whole(price, scale)) for tokens, price in tiers))


def _whole(price: str, scale: int) -> int:
    exact = Decimal(price) * scale
    if exact != int(exact):
        raise ValueError(f"{price} USD per million tokens is no whole number of picodollars per token")
    return int(exact)


def _when(given: Mapping[str, Any]) -> tuple[str, tuple[str, str] | None]:
    daily = given.get("daily")
    return given.get("from", ""), (daily[0], daily[1]) if daily else None


def _within(clock: str, start: str, end: str) -> bool:
    return start <= clock < end if start <= end else clock >= start or clock < end
