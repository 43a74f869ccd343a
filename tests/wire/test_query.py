"""A query as it may be told: the values of parameters that nobody knows are hidden."""

import pytest

from claude_proxy.wire.query import hidden_values, shown


@pytest.mark.parametrize(
    ("query", "expected", "hidden"),
    [
        ("", "", set()),
        ("beta=true", "beta=true", set()),
        ("beta=true&limit=1000", "beta=true&limit=1000", set()),
        ("beta", "beta", set()),
        ("beta=true&api_key=FAKE-1", "beta=true&api_key=[redacted]", {"FAKE-1"}),
        ("key=FAKE%2F2", "key=[redacted]", {"FAKE%2F2", "FAKE/2"}),
        ("key=a=b", "key=[redacted]", {"a=b"}),
        ("FAKE-without-a-name", "[redacted]", {"FAKE-without-a-name"}),
        ("Beta=FAKE-3", "Beta=[redacted]", {"FAKE-3"}),
        ("&&key=&", "&&key=[redacted]&", set()),
    ],
)
def test_only_what_the_api_knows_is_shown(query: str, expected: str, hidden: set[str]) -> None:
    assert shown(query) == expected
    assert hidden_values(query) == hidden
