"""The snapshot is what `scripts/prices` makes of genai-prices, and what it says is exact."""

import importlib.util
import json
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from genai_prices.data import providers

from claude_proxy.ledger.price_table import KINDS, PriceTable, Rates
from tests.house.source import REPOSITORY


def script() -> ModuleType:
    loader = SourceFileLoader("prices_script", str(REPOSITORY / "scripts" / "prices"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_snapshot_is_what_the_script_makes_of_the_package() -> None:
    """Otherwise run scripts/prices: the package in pyproject.toml is another version, or the file was edited."""
    made = script()
    text = made.written(providers, f"genai-prices {version('genai-prices')}", made.newest_change(providers))
    assert Path(made.TARGET).read_text(encoding="utf-8") == text


def test_the_snapshot_bears_its_source_its_day_and_its_licence() -> None:
    whole = json.loads((REPOSITORY / "claude_proxy" / "ledger" / "prices.json").read_bytes())
    assert whole["source"] == f"genai-prices {version('genai-prices')}"
    assert whole["dated"] == PriceTable().dated == "2026-11-09"
    assert "Copyright (c) Pydantic" in whole["licence"]
    assert "Permission is hereby granted" in whole["licence"]


def test_the_surcharge_for_the_us_is_exact_for_every_price() -> None:
    snapshot = PriceTable()
    dearer = [model for model in snapshot._snapshot.models if model.us]
    assert len(dearer) >= 12
    for model in dearer:
        found = snapshot.find((model.names or model.begin)[0])
        assert found is not None
        assert found.us is not None
        numerator, denominator = found.us.as_integer_ratio()
        for offered in (found.at(0), found.at(2e9), *found.variants.values()):
            assert [amount for amount in amounts(offered) if amount * numerator % denominator] == []


def amounts(offered: Rates) -> list[int]:
    return [amount for kind in KINDS for _, amount in getattr(offered, kind) or ()]
