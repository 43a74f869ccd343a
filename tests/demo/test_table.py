"""What a line of the table says, to the letter."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from claude_proxy.demo.table import HEAD, Table
from claude_proxy.exchange import Attempt, End
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.quota import Quota, Window
from claude_proxy.wire.usage import Usage
from tests.client_requests import count_request, message_request, other_request
from tests.demo.playing import HAIKU
from tests.observers.closed_exchanges import attempt, exchange


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def table(shown: list[str]) -> Table:
    return Table(shown.append)


OVERLOADED = Failure(FailureKind.OVERLOADED, "minimax: no", "minimax")


def test_a_request_is_one_line_below_the_head(table: Table, shown: list[str]) -> None:
    failed = attempt("minimax", failure=OVERLOADED, status=529)
    table.closed(exchange(message_request(model=HAIKU), attempts=[failed, failed, attempt()]))
    assert [HEAD, *shown] == [
        "TIME     FOR   MODEL             UPSTREAM  CODE TRIES  FIRST    IN   OUT  LIST $",
        "08:00:00 main  claude-haiku-4-5  → claude   200     3  250ms    18     7 0.00015",
    ]


def test_lines_fit_a_terminal_of_80_columns(table: Table, shown: list[str]) -> None:
    usage = Usage(150_000, 64_000, 30_000, 20_000)
    times = {"started": 100.0, "first_byte": 199.94}
    table.closed(exchange(message_request(model="claude-" + "x" * 100), upstream="minimax", usage=usage, **times))
    assert shown == ["08:00:00 main  claude-xxxxxxxxxx → minimax  200     1  99.9s  200k 64.0k  1.5285"]
    assert len(HEAD) == len(shown[0]) == 80


@pytest.mark.parametrize(
    ("request_", "purpose"),
    [
        (message_request(("x-claude-code-agent-id", "a1")), "agent"),
        (count_request(), "count"),
        (message_request(tools=[], output_config={"format": {"schema": {"title": {}}}}), "title"),
        (message_request(max_tokens=1, stream=False, messages=[{"role": "user", "content": "quota"}]), "quota"),
        (message_request(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "web"),
        (other_request("GET", "/v1/files?limit=1"), "other"),
    ],
)
def test_a_line_says_what_the_request_is_for(
    table: Table, shown: list[str], request_: ClientRequest, purpose: str
) -> None:
    table.closed(exchange(request_))
    assert shown[0][9:15] == f"{purpose:6}"


def test_a_request_without_a_model_is_named_by_its_path(table: Table, shown: list[str]) -> None:
    table.closed(exchange(other_request("GET", "/v1/files?limit=1")))
    assert " /v1/files " in shown[0]


def test_what_has_no_price_costs_not_nothing_but_is_not_told(table: Table, shown: list[str]) -> None:
    unknown = attempt()
    unknown.model = "nobody-knows-this"
    table.closed(exchange(attempts=[unknown]))
    assert shown[0].endswith(" 7       -")


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"end": End.FAILED, "status": 529, "upstream": "", "first_byte": None}, "→ -        529     1      -"),
        ({"end": End.CLIENT_GONE, "status": None, "upstream": "", "attempts": []}, "→ -          -     0"),
        ({"end": End.BROKEN}, "→ claude   200     1"),
    ],
)
def test_what_did_not_end_well_says_how(table: Table, shown: list[str], fields: dict[str, Any], end: str) -> None:
    table.closed(exchange(**fields))
    assert end in shown[0]
    assert shown[0].endswith(f"  {fields['end']}")


@pytest.mark.parametrize(
    ("failure", "status", "line"),
    [
        (OVERLOADED, 529, "         · minimax failed: 529 overloaded, after 200ms"),
        (Failure(FailureKind.CONNECT, "x"), None, "         · minimax failed: connect, after 200ms"),
    ],
)
def test_a_try_that_failed_is_a_thin_line(
    table: Table, shown: list[str], failure: Failure, status: int | None, line: str
) -> None:
    table.attempt_failed(exchange(), attempt("minimax", failure=failure, status=status))
    assert shown == [line]


def test_a_target_that_was_passed_over_is_a_thin_line(table: Table, shown: list[str]) -> None:
    table.skipped(exchange(), "minimax", Failure(FailureKind.UNAVAILABLE, "it is left alone for 30 s"))
    assert shown == ["         · minimax was passed over: it is left alone for 30 s"]


def test_the_plan_is_told_when_it_is_news(table: Table, shown: list[str]) -> None:
    def read(**used: float) -> Attempt:
        told = attempt()
        told.quota = Quota("allowed", windows={name[1:]: Window("allowed", share) for name, share in used.items()})
        return told

    for told in (attempt(), read(), read(_5h=0.42, _7d=0.17), read(_5h=0.42, _7d=0.17), read(_5h=0.43, _7d=0.17)):
        table.quota_read(exchange(), told)
    assert shown == [
        "         · claude says of the plan: 42% of 5h used, 17% of 7d used",
        "         · claude says of the plan: 43% of 5h used, 17% of 7d used",
    ]


@pytest.mark.parametrize(
    ("tokens", "shown_as"), [(999, "999"), (1000, "1.0k"), (99_949, "99.9k"), (1_000_000, "1000k")]
)
def test_many_tokens_are_told_in_thousands(table: Table, shown: list[str], tokens: int, shown_as: str) -> None:
    table.closed(exchange(usage=Usage(1, tokens)))
    assert shown[0].split()[-2] == shown_as
