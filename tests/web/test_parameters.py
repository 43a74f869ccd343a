"""Parameters are read as they are meant, and refused by name where they cannot be."""

import pytest
from aiohttp.test_utils import make_mocked_request

from claude_proxy.web.errors import Refused
from claude_proxy.web.parameters import Parameters

KNOWN = ("limit", "model", "order", "since", "until")


def given(query: str) -> Parameters:
    return Parameters(make_mocked_request("GET", f"/api/requests?{query}"), KNOWN)


def refused(query: str) -> str:
    """Why these are refused."""

    def read() -> None:
        parameters = given(query)
        parameters.integer("limit", 50, 1, 500)
        parameters.choice("order", ("up", "down"))
        parameters.time("since")
        parameters.time("until", end=True)

    with pytest.raises(Refused) as found:
        read()
    assert (found.value.status, found.value.kind) == (400, "bad_parameter")
    return str(found.value)


def test_what_is_not_given_or_empty_is_the_default() -> None:
    for parameters in (given(""), given("model=&order=&since=")):
        assert parameters.text("model") is None
        assert parameters.integer("limit", 50, 1, 500) == 50
        assert parameters.choice("order", ("up", "down")) is None
        assert parameters.time("since") is None


def test_what_is_given_is_decoded() -> None:
    parameters = given("model=claude%20%C3%A9+x&limit=500&order=up")
    assert parameters.text("model") == "claude é x"
    assert parameters.integer("limit", 50, 1, 500) == 500
    assert parameters.choice("order", ("up", "down")) == "up"


@pytest.mark.parametrize("limit", ["", "0", "501", "-1", "1.5", "x", "1e3", "%D9%A1", "1_0", "+5", "9" * 5000])
def test_a_number_that_is_none_or_out_of_bounds_is_named(limit: str) -> None:
    assert refused(f"limit={limit}").startswith("limit: expected a whole number from 1 to 500, found ")
    assert len(refused(f"limit={limit}")) < 150


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("order=sideways", "order: expected one of up, down, found 'sideways'"),
        ("since=yesterday", "since: expected a time such as 2026-11-26"),
        ("since=2026-13-01", "since: expected a time"),
        ("until=10000-01-01", "until: expected a time"),
        ("since=2026-11-26T01:00:00+", "since: expected a time"),
        ("offset=3", "there is no parameter 'offset'; known here: limit, model, order, since, until"),
        ("limit=1&limit=2", "a parameter stands there twice"),
        ("model=%ff", "the parameters cannot be read"),
        ("&".join(f"a{number}=1" for number in range(40)), "the parameters cannot be read: at most 32"),
    ],
)
def test_what_cannot_be_meant_is_told(query: str, told: str) -> None:
    assert refused(query).startswith(told)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-26", 1795651200.0),
        ("2026-11-26T01:00:00Z", 1795654800.0),
        ("2026-11-26T01:00:00%2B01:00", 1795651200.0),
        ("2026-11-26T01:00:00.250", 1795654800.25),
        ("2026-11-26%2001:00", 1795654800.0),
        ("2026-11-26T01:00:00+01:00", 1795651200.0),  # whoever does not know that it must be escaped
        ("2026-11-26t01:00:60.1234567z", 1795654859.123456),
        ("0001-01-01T00:00:00%2B23:59", 0.0),
        ("9999-12-31T23:59:59-20:00", 253402128000.0),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert given(f"since={text}").time("since") == seconds


def test_an_end_that_is_a_date_includes_the_day() -> None:
    assert given("since=2026-11-26").time("since", end=True) == 1795651200.0 + 86400
    assert given("since=2026-11-26T00:00:00Z").time("since", end=True) == 1795651200.0


def test_where_none_is_known_it_says_so() -> None:
    with pytest.raises(Refused, match="none is known here"):
        Parameters(make_mocked_request("DELETE", "/api/requests?model=x"))
