"""`claude-proxy prices`: what is printed, what programs get, and the codes with which it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.ledger.prices import PriceList
from tests.commands.invoking import configured, run


def prices(home: Path, *arguments: str, **settings: Any) -> tuple[int, str]:
    result = run("prices", "--config", configured(home, **settings), *arguments)
    return result.exit_code, result.stdout


def test_without_a_name_the_models_of_the_configuration_are_priced(tmp_path: Path) -> None:
    code, text = prices(tmp_path, models={"a-model-of-tomorrow": "Tomorrow"})
    lines = [line.split() for line in text.splitlines()]
    assert code == 0
    assert ["claude-opus-5-5", "4.00", "20.00", "0.20", "5.00", "8.00"] in lines
    assert ["MiniMax-M2.5-highspeed", "0.60", "2.40", "0.03", "0.375", "-"] in lines
    assert "unpriced:" in next(line for line in lines if line[:1] == ["a-model-of-tomorrow"])
    assert max(map(len, text.splitlines())) <= 80


def test_the_source_and_the_age_stand_below(tmp_path: Path) -> None:
    known = PriceList()
    _, text = prices(tmp_path)
    assert f"From {known.source}, newest change {known.dated}, " in text.splitlines()[-1] + text.splitlines()[-2]


def test_a_model_that_is_named_is_told_whole(tmp_path: Path) -> None:
    code, text = prices(tmp_path, "claude-opus-5-5-20261001", "Claude-Haiku-5-5")
    assert code == 0
    said = [line.strip() for line in text.splitlines()]
    assert "known as claude-opus-5-5, of anthropic" in said
    assert "web search: 10.00 for a thousand" in said
    assert "computed in the US alone: 1.1 times as much" in said
    words = [line.split() for line in said]
    assert ["fast", "8.00", "40.00", "0.40", "10.00", "16.00"] in words
    assert ["prompt", "over", "100,000", "0.50", "2.50", "0.05", "0.625", "1.00"] in words


def test_a_name_without_a_price_is_told_by_the_code(tmp_path: Path) -> None:
    code, text = prices(tmp_path, "claude-opus-5-5", "nobody-s-model")
    assert code == 1
    assert "unpriced: tokens are counted, money is not" in text


def test_a_price_of_the_user_s_own_is_told_as_such(tmp_path: Path) -> None:
    code, text = prices(tmp_path, "kimi-k9", prices={"models": {"kimi-*": {"input": 1.5, "output": 2}}})
    assert code == 0
    assert ["kimi-k9", "1.50", "2.00", "-", "-", "-"] in [line.split() for line in text.splitlines()]
    assert "set in your configuration" in text


def test_programs_get_the_same(tmp_path: Path) -> None:
    code, text = prices(tmp_path, "--json", "claude-haiku-5-5", "nobody-s-model")
    told = json.loads(text)
    assert code == 1
    assert (told["source"], told["dated"]) == (PriceList().source, PriceList().dated)
    assert told["stale"] == (told["age_days"] > 60)
    haiku, unknown = told["models"]
    assert haiku["prices"]["input"] == [[0, "0.10"], [100000, "0.50"]]
    assert (unknown["source"], "prices" in unknown) == (None, False)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_stale_list_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setattr("time.time", lambda: 1_900_000_000.0)
    _, text = prices(tmp_path, *arguments)
    assert "stale" in text
    assert ('"age_days": 1224' if arguments else "1224 days old") in text  # in March 2030


def test_a_faulty_configuration_is_told(tmp_path: Path) -> None:
    result = run("prices", "--config", configured(tmp_path, prices={"models": {"m": {"input": "free"}}}))
    assert result.exit_code == 78
    assert "prices.models.m.input" in result.stderr
