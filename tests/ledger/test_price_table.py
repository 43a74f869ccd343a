"""The snapshot of prices: found by any spelling of a name, at the day and hour of the call."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from claude_proxy.ledger.price_table import PriceTable, Rates, rates, spellings


def table(*models: dict[str, Any]) -> PriceTable:
    whole = {"source": "a test", "dated": "2026-11-09", "models": [{"provider": "p", **model} for model in models]}
    return PriceTable(json.dumps(whole).encode())


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_prices_become_picodollars_for_a_token_and_for_a_search() -> None:
    assert rates({"input": "0.1", "output": ["2", [[1000, "4"]]], "web_search": "10"}) == Rates(
        input=((0, 100_000),), output=((0, 2_000_000), (1000, 4_000_000)), web_search=((0, 10**10),)
    )


def test_a_price_that_is_no_whole_number_of_picodollars_is_refused() -> None:
    with pytest.raises(ValueError, match="picodollars"):
        rates({"input": "0.0000001"})


@pytest.mark.parametrize(
    "spelling",
    [
        "claude-x-5",
        "Claude-X-5",
        "claude-x-5-20260101",
        "claude-x-5@20260101",
        "claude-x-5-2026-01-01",
        "claude-x-5-latest",
        "claude-x-5[1m]",
        "anthropic/claude-x-5",
        "openrouter/anthropic/claude-x-5",
        "us.anthropic.claude-x-5-20260101-v1:0",
    ],
)
def test_a_model_is_found_by_each_spelling_of_its_name(spelling: str) -> None:
    found = table({"id": "x", "names": ["claude-x-5"], "prices": [{"input": "1"}]}).find(spelling)
    assert found is not None
    assert found.id == "x"


@pytest.mark.parametrize("name", ["", "claude-x", "claude-x-55", "claude-x-5-fast", "x", "claude-x-5-2026"])
def test_another_name_is_another_model(name: str) -> None:
    assert table({"id": "x", "names": ["claude-x-5"], "prices": [{"input": "1"}]}).find(name) is None


def test_a_name_in_full_goes_before_its_spellings_and_before_patterns() -> None:
    found = table(
        {"id": "begun", "begin": ["vendor/m"], "prices": [{"input": "1"}]},
        {"id": "bare", "names": ["m"], "prices": [{"input": "1"}]},
        {"id": "full", "names": ["vendor/m"], "prices": [{"input": "1"}]},
        {"id": "matched", "match": ["^other-\\d+$"], "prices": [{"input": "1"}]},
    )
    names = ["vendor/m", "vendor/mx", "m", "other-12", "other-x"]
    assert [model and model.id for model in map(found.find, names)] == ["full", "begun", "bare", "matched", None]


def test_of_two_that_know_a_name_the_first_is_taken() -> None:
    found = table(*({"id": name, "names": ["m"], "prices": [{"input": "1"}]} for name in ("first", "second"))).find("m")
    assert found is not None
    assert found.id == "first"


def test_a_price_applies_from_its_day_on_in_utc() -> None:
    prices = [{"input": "1"}, {"from": "2026-10-07", "input": "2"}, {"from": "2026-11-01", "input": "3"}]
    found = table({"id": "m", "names": ["m"], "prices": prices}).find("m")
    assert found is not None
    moments = ["2020-01-01", "2026-10-06T23:59:59", "2026-10-07", "2026-11-01T00:00:00", "2030-01-01"]
    assert [found.at(at(moment)).input for moment in moments] == [((0, n * 10**6),) for n in (1, 1, 2, 3, 3)]


def test_a_price_of_some_hours_of_the_day_applies_then() -> None:
    prices = [
        {"input": "1"},
        {"daily": ["08:30:00", "10:00:00"], "input": "2"},
        {"daily": ["22:00:00", "02:00:00"], "input": "3"},
    ]
    found = table({"id": "m", "names": ["m"], "prices": prices}).find("m")
    assert found is not None
    clocks = ["08:29:59", "08:30:00", "10:00:00", "21:59:59", "22:00:00", "01:59:59", "02:00:00"]
    assert [found.at(at(f"2026-11-09T{clock}")).input for clock in clocks] == [
        ((0, n * 10**6),) for n in (1, 2, 1, 1, 3, 3, 1)
    ]


def test_names_that_clients_invent_are_not_remembered_for_ever() -> None:
    snapshot = table({"id": "m", "names": ["m"], "prices": [{"input": "1"}]})
    for number in range(3000):
        assert snapshot.find(f"invented-{number}") is None
    assert len(snapshot._found) <= 1000
    assert snapshot.find("m") is not None


def test_each_spelling_is_tried_once() -> None:
    assert list(spellings("claude-opus-5-5")) == ["claude-opus-5-5"]
    assert list(spellings("a/M-20260101[1m]")) == ["a/m-20260101", "m-20260101", "m"]
