"""What an answer cost: four numbers that are never mixed, in whole picodollars."""

from enum import StrEnum

import msgspec

PER_DOLLAR = 10**12
"""Picodollars in a US dollar. A token of $0.000001 per million is one: prices per token, and all sums, are exact."""


class Billing(StrEnum):
    """Who pays for a call. PLAN: a subscription, whatever its tokens would cost. API: somebody, by the token. NONE:
    nobody, as for a model on this machine and for a count of tokens."""

    PLAN = "plan"
    API = "api"
    NONE = "none"


class Cost(msgspec.Struct, frozen=True):
    """Money in picodollars, None where there is no price for any of it, or where nothing was metered.

    `list_value` is what the price list says, for a subscription its API equivalent; `billed` is what somebody is
    billed for, `covered` what the plan covers. `unpriced_tokens` are those that the three do not contain, because
    nobody knows their price. `source` and `dated` (a day, ISO 8601) say where the prices come from.
    """

    list_value: int | None = None
    billed: int | None = None
    covered: int | None = None
    unpriced_tokens: int = 0
    source: str | None = None
    dated: str | None = None

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            _sum(self.list_value, other.list_value),
            _sum(self.billed, other.billed),
            _sum(self.covered, other.covered),
            self.unpriced_tokens + other.unpriced_tokens,
            _both(self.source, other.source),
            # Together they are as old as the older of them.
            min(filter(None, (self.dated, other.dated)), default=None),
        )


NO_COST = Cost()
"""What nobody metered."""


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


def _both(one: str | None, other: str | None) -> str | None:
    return f"{one}, {other}" if one and other and one != other else one or other


def dollars(amount: int, places: int = 12) -> str:
    """An amount of picodollars in US dollars: plain digits, rounded to so many places, at least two of them."""
    unit: int = 10 ** (12 - places)
    whole, rest = divmod(abs(amount) + unit // 2, PER_DOLLAR)
    digits = f"{rest // unit * unit:012d}"[:places].rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}.{digits:0<2}"
