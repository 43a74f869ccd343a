"""The words of the status line, from what a daemon says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.statusline.asking import Told
from claude_proxy.statusline.line import answering, breakers, spent, text

CLOSED = {"state": "closed", "retry_in_seconds": None}
ROUTES: list[dict[str, Any]] = [
    {"model": None, "agent": None, "background": "title", "to": [{"upstream": "titles"}]},
    {"model": None, "agent": "sub", "background": None, "to": [{"upstream": "subs"}]},
    {
        "model": "claude-HAIKU-*",
        "agent": None,
        "background": None,
        "to": [{"upstream": "mini"}, {"upstream": "claude"}],
    },
    {"model": None, "agent": None, "background": None, "to": [{"upstream": "claude"}]},
]


def health(mini: str = "present", breaker: dict[str, Any] | None = None, status: str = "healthy") -> dict[str, Any]:
    """A daemon's /health, MiniMax's credential being so, and its breaker."""
    return {
        "status": status,
        "version": "1",
        "upstreams": {
            "claude": {"credential": "login", "breaker": CLOSED},
            "mini": {"credential": "key", "breaker": breaker or CLOSED},
        },
        "credentials": {"login": {"state": "pass-through"}, "key": {"state": mini}},
        "routes": ROUTES,
    }


OPEN = {"state": "open", "retry_in_seconds": 17.6}
HALF_OPEN = {"state": "half_open", "retry_in_seconds": None}


@pytest.mark.parametrize(
    ("model", "told", "upstream"),
    [
        ("claude-opus-4-8", health(), "claude"),
        ("Claude-Haiku-4-5", health(), "mini"),
        ("claude-haiku-4-5", health("absent"), "claude"),
        ("claude-haiku-4-5", health("refused"), "claude"),
        ("claude-haiku-4-5", health("unusable"), "claude"),
        ("claude-haiku-4-5", health("not read"), ""),  # only the next request will show
        ("claude-haiku-4-5", health(breaker=OPEN), "claude"),
        ("claude-haiku-4-5", health(breaker=HALF_OPEN), "mini"),
        ("claude-haiku-4-5", {}, ""),
    ],
)
def test_the_upstream_is_the_first_that_would_be_asked(model: str, told: dict[str, Any], upstream: str) -> None:
    assert answering(told, model) == upstream


def test_where_no_target_is_able_the_first_is_told() -> None:
    told = health("absent")
    told["credentials"]["login"] = {"state": "refused"}
    assert answering(told, "claude-haiku-4-5") == "mini"


@pytest.mark.parametrize(
    ("today", "words"),
    [
        ({"list_value": "12.84", "billed": "0"}, "today $12.84 at list price"),
        ({"list_value": "12.84", "billed": "0.104"}, "today $12.84 at list price, $0.10 billed"),
        (
            {"list_value": "0.00", "billed": "0.00", "unpriced_tokens": 7},
            "today $0.00 at list price, more unpriced",
        ),
        ({"list_value": 3, "unpriced_tokens": 0}, "today $3.00 at list price"),
        ({"list_value": "0.00", "billed": "0.00", "unpriced_tokens": 0}, ""),
        ({}, ""),
        ({"list_value": None}, ""),
        ({"list_value": "NaN"}, ""),
        ({"list_value": True}, ""),
    ],
)
def test_money_is_told_apart_and_what_has_no_price_is_not_nothing(today: dict[str, Any], words: str) -> None:
    assert spent(today) == words


@pytest.mark.parametrize(
    ("breaker", "words"),
    [
        (CLOSED, []),
        (OPEN, ["mini open 18s"]),
        ({**OPEN, "retry_in_seconds": 300}, ["mini open 5m"]),
        ({**OPEN, "retry_in_seconds": 18000}, ["mini open 5h"]),
        ({**OPEN, "retry_in_seconds": None}, ["mini open"]),
        (HALF_OPEN, ["mini half-open"]),
    ],
)
def test_what_is_left_alone_is_told_with_the_time_that_is_left(breaker: dict[str, Any], words: list[str]) -> None:
    assert breakers(health(breaker=breaker)) == words


def test_the_whole_line() -> None:
    told = Told(health(breaker=OPEN), {"list_value": "12.84"})
    assert text(told, "claude-haiku-4-5") == "proxy → claude · today $12.84 at list price · mini open 18s"
    assert text(Told(health(status="draining"), {}), "") == "proxy is ending"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "upstreams",
                    "credentials",
                    "routes",
                    "model",
                    "to",
                    "upstream",
                    "breaker",
                    "state",
                    "credential",
                    "claude",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["upstreams", "credentials", "routes", "status"]), ANYTHING), ANYTHING)
def test_whatever_a_daemon_of_another_version_says_there_is_a_line(told: dict[str, Any], value: Any) -> None:
    line = text(Told(told, {"list_value": value, "billed": value, "unpriced_tokens": value}), "claude-haiku-4-5")
    assert line.startswith("proxy")
