"""What an answer costs: by model, day, kind of token, size of the prompt, speed, tier and place.

Where the protocol or the price list leaves a choice:

- The prompt's size is that of one call of a model; where `iterations` tell the calls apart, each has its own price,
  that of its own model. Only what they do not tell is priced as one call. A compaction and an advisor are told
  there alone; every other kind counts as part of the numbers beside them.
- Cache writes whose time to live was not said are those of 5 minutes, which is the API's default. A kind of token
  without a price of its own costs what input costs, a write for 1 hour what one for 5 minutes costs.
- A speed, tier or model whose price nobody has told makes tokens unpriced; it is never the price of another. But
  `priority` is capacity that was bought before: its tokens are valued at the ordinary price, as are those of a
  region that is not known to be dearer.
- What is not among the usage has no price here: storage, the hours of a container that runs code.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from claude_proxy.ledger.cost import NO_COST, Billing, Cost
from claude_proxy.ledger.price_table import KINDS, ModelPrices, PriceTable, Rate, Rates
from claude_proxy.wire.usage import Usage

STALE_AFTER = 60
"""Days after which a price list is called stale: in 2026 a provider changed some price about once a month."""

CONFIGURED = "configuration"
"""The source of a price that the user has set."""

_APART = frozenset({"compaction", "advisor_message"})
_ORDINARY = frozenset({None, "", "standard", "default"})


class PriceSettings(msgspec.Struct, frozen=True):
    """Prices that the user has set, by a glob for the model's name; they hold for every tier, speed and place."""

    models: Mapping[str, Rates] = msgspec.field(default_factory=dict)


class Tokens(NamedTuple):
    """Each token once, by the kind that has a price."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        return sum(self) - self.output

    @classmethod
    def of(cls, usage: Usage) -> "Tokens":
        short, long = usage.cache_creation_5m_input_tokens or 0, usage.cache_creation_1h_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        return cls(
            usage.input_tokens or 0,
            usage.output_tokens or 0,
            usage.cache_read_input_tokens or 0,
            max(short, written - long),
            long,
        )


class PriceList:
    """The user's prices, and beneath them the snapshot's."""

    def __init__(self, settings: PriceSettings | None = None, table: PriceTable | None = None) -> None:
        self._own = {name.lower(): rates for name, rates in (settings or PriceSettings()).models.items()}
        self._table = table or PriceTable()

    def under(self, settings: PriceSettings) -> "PriceList":
        """The same snapshot under other prices of the user's."""
        return PriceList(settings, self._table)

    @property
    def source(self) -> str:
        """Where the snapshot comes from, with the version; to be shown wherever prices are."""
        return self._table.source

    @property
    def dated(self) -> str:
        """The day of the newest price in the snapshot, ISO 8601; to be shown wherever prices are."""
        return self._table.dated

    def age(self, now: float) -> int:
        """How old the snapshot is, in days. `now` is Unix time."""
        return (datetime.fromtimestamp(now, UTC).date() - date.fromisoformat(self.dated)).days

    def is_stale(self, now: float) -> bool:
        """Whether it is so old that whoever shows its prices must say so."""
        return self.age(now) > STALE_AFTER

    def own(self, model: str) -> Rates | None:
        """The user's own prices for a model."""
        name = model.lower()
        for glob, rates in self._own.items():
            if fnmatchcase(name, glob):
                return rates
        return None

    def listed(self, model: str) -> ModelPrices | None:
        """The snapshot's prices of a model; None where it does not know the model."""
        return self._table.find(model)

    def cost(self, model: str, usage: Usage, at: float, billing: Billing) -> Cost:
        """What an answer of this model cost at this time (Unix time, seconds)."""
        if billing is Billing.NONE:
            return Cost(0, 0, 0)
        total: Cost | None = None
        searches = usage.web_search_requests or 0
        for name, tokens, speed in _calls(model, usage):
            if not any(tokens) and not searches:
                continue
            cost = self._call(name, tokens, searches, _Manner(speed, usage.service_tier, usage.inference_geo), at)
            total = cost if total is None else total + cost
            searches = 0
        if total is None or (total.list_value is None and not total.unpriced_tokens):
            return NO_COST if _nothing_said(usage) else Cost(0, 0, 0)
        value = total.list_value
        billed, covered = (0, value) if billing is Billing.PLAN else (value, 0)
        return Cost(value, billed, covered, total.unpriced_tokens, total.source, total.dated)

    def _call(self, model: str, tokens: Tokens, searches: int, manner: "_Manner", at: float) -> Cost:
        rates, source, dated, factor = self.own(model), CONFIGURED, None, (1, 1)
        if rates is None:
            listed = self.listed(model)
            rates = _in_this_manner(listed, manner, at) if listed is not None else None
            if listed is None or rates is None:
                return Cost(unpriced_tokens=sum(tokens))
            source, dated = self._table.source, self._table.dated
            if manner.geo == "us" and listed.us is not None:
                factor = listed.us.as_integer_ratio()
        value = unpriced = 0
        prompt = tokens.prompt
        for rate, number in zip(_by_kind(rates), tokens, strict=True):
            if rate is None:
                unpriced += number
            elif number:
                value += number * _by_size(rate, prompt)
        # Exact: a test holds every price of the snapshot to it.
        value = value * factor[0] // factor[1]
        if rates.web_search is not None and searches:
            value += searches * _by_size(rates.web_search, prompt)
        return Cost(list_value=value, unpriced_tokens=unpriced, source=source, dated=dated)


class _Manner(NamedTuple):
    """How a call was answered, as far as that has a price."""

    speed: str | None
    tier: str | None
    geo: str | None


def _calls(model: str, usage: Usage) -> list[tuple[str, Tokens, str | None]]:
    """The calls of models that an answer consists of: (model, tokens, speed)."""
    rest = Tokens.of(usage)
    apart: list[tuple[str, Tokens, str | None]] = []
    for each in usage.iterations or ():
        tokens = Tokens.of(each.usage)
        # The speed is that of the model that answers; its advisor is another one.
        apart.append((each.model or model, tokens, None if each.kind == "advisor_message" else usage.speed))
        if each.kind not in _APART:
            rest = Tokens(*(max(0, whole - part) for whole, part in zip(rest, tokens, strict=True)))
    return [(model, rest, usage.speed), *apart]


def _in_this_manner(listed: ModelPrices, manner: _Manner, at: float) -> Rates | None:
    rates = listed.at(at)
    for word in (manner.tier, manner.speed):
        if word in _ORDINARY:
            continue
        variant = listed.variants.get(word or "")
        if variant is not None:
            dearer = {kind: rate for kind in KINDS if (rate := getattr(variant, kind)) is not None}
            rates = replace(rates, **dearer)
        elif word != "priority":
            return None
    return rates


def _by_kind(rates: Rates) -> tuple[Rate | None, ...]:
    """In the order of `Tokens`."""
    written = rates.cache_write_5m or rates.input
    return rates.input, rates.output, rates.cache_read or rates.input, written, rates.cache_write_1h or written


def _by_size(rate: Rate, prompt: int) -> int:
    price = rate[0][1]
    for beyond, dearer in rate[1:]:
        if prompt > beyond:
            price = dearer
    return price


def _nothing_said(usage: Usage) -> bool:
    return usage.iterations is None and all(
        count is None
        for count in (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens,
            usage.cache_creation_input_tokens,
        )
    )
