"""What `claude-proxy prices` says of each model: for programs, and as a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.price_table import KINDS, Rate, Rates
from claude_proxy.ledger.prices import CONFIGURED, PriceList

_COLUMNS = {
    "input": "input",
    "output": "output",
    "cache_read": "read",
    "cache_write_5m": "write 5m",
    "cache_write_1h": "write 1h",
}
_NAME, _NUMBER = 30, 10  # columns of the terminal: 80 with all five numbers


def price_row(prices: PriceList, model: str, now: float) -> dict[str, Any]:
    """One model, for programs: each price as [beyond so many tokens of prompt, US dollars], the last applies."""
    row: dict[str, Any] = {"model": model, "known_as": None, "provider": None, "source": None}
    if (own := prices.own(model)) is not None:
        return {**row, "source": CONFIGURED, "prices": _told(own)}
    if (found := prices.listed(model)) is None:
        return row
    return {
        **row,
        "known_as": found.id,
        "provider": found.provider,
        "source": prices.source,
        "prices": _told(found.at(now)),
        "variants": {name: _told(rates) for name, rates in found.variants.items()},
        "us_factor": str(found.us) if found.us is not None else None,
    }


def _told(rates: Rates) -> dict[str, list[tuple[int, str]]]:
    given: dict[str, Rate] = {kind: rate for kind in KINDS if (rate := getattr(rates, kind)) is not None}
    return {
        kind: [(beyond, dollars(price * (10**3 if kind == "web_search" else 10**6))) for beyond, price in rate]
        for kind, rate in given.items()
    }


def price_lines(rows: list[dict[str, Any]], *, whole: bool) -> Iterator[str]:
    """A table of 80 columns; `whole` adds fast mode, batches, and what else has a price."""
    yield f"{'US dollars per million tokens':<{_NAME}}" + "".join(f"{name:>{_NUMBER}}" for name in _COLUMNS.values())
    for row in rows:
        if row["source"] is None:
            yield f"{row['model']:<{_NAME}}  unpriced: tokens are counted, money is not"
            continue
        yield from _numbers(row["model"], row["prices"])
        for name, given in row.get("variants", {}).items() if whole else ():
            yield from _numbers(f"  {name}", given)
        if whole:
            yield from _remarks(row)


def _numbers(name: str, given: Mapping[str, list[tuple[int, str]]]) -> Iterator[str]:
    """A line for each size of prompt."""
    for beyond in sorted({beyond for kind in _COLUMNS for beyond, _ in given.get(kind, ())}):
        told = [next((price for at, price in reversed(given.get(kind, ())) if at <= beyond), "-") for kind in _COLUMNS]
        label = f"  prompt over {beyond:,}" if beyond else name
        yield f"{label:<{_NAME}}" + "".join(f"{price:>{_NUMBER}}" for price in told)


def _remarks(row: Mapping[str, Any]) -> Iterator[str]:
    if row["source"] == CONFIGURED:
        yield "  set in your configuration, for every speed, tier and place"
        return
    yield f"  known as {row['known_as']}, of {row['provider']}"
    for _, price in row["prices"].get("web_search", ()):
        yield f"  web search: {price} for a thousand"
    if row["us_factor"]:
        yield f"  computed in the US alone: {row['us_factor']} times as much"
