"""The subscription's windows, read from an answer's headers."""

import pytest

from claude_proxy.wire.quota import Quota, read_quota

PREFIX = "anthropic-ratelimit-unified-"


def headers(**values: str) -> list[tuple[str, str]]:
    return [("request-id", "req_1"), *((PREFIX + name, value) for name, value in values.items())]


def test_an_answer_without_these_headers_states_no_quota() -> None:
    assert read_quota([("retry-after", "3"), ("anthropic-ratelimit-requests-remaining", "7")]) is None


def test_status_and_reset_are_read() -> None:
    quota = read_quota(headers(status="allowed", reset="1790000000"))
    assert quota == Quota("allowed", 1790000000.0)


def test_the_names_are_compared_without_regard_to_case() -> None:
    assert read_quota([(PREFIX.title() + "Status", "rejected"), (PREFIX.upper() + "RESET", "5")]) == Quota(
        "rejected", 5
    )


def test_a_reset_without_a_status_is_no_quota() -> None:
    assert read_quota(headers(reset="1790000000")) is None


def test_a_windows_own_status_is_not_the_plans() -> None:
    assert read_quota([(PREFIX + "5h-status", "rejected"), (PREFIX + "5h-reset", "5")]) is None


@pytest.mark.parametrize("status", ["allowed", "allowed_warning", "", "a status of tomorrow"])
def test_a_window_that_is_not_rejected_is_not_spent(status: str) -> None:
    quota = read_quota(headers(status=status, reset="1790000000"))
    assert quota is not None
    assert quota.spent_until is None


def test_a_rejected_window_is_spent_until_its_reset() -> None:
    quota = read_quota(headers(status="rejected", reset="1790000000"))
    assert quota is not None
    assert quota.spent_until == 1790000000.0


@pytest.mark.parametrize("reset", ["", "soon", "2026-11-21T07:00:00Z", "inf", "-inf", "nan", "1e999"])
def test_a_malformed_reset_counts_as_absent(reset: str) -> None:
    quota = read_quota(headers(status="rejected", reset=reset))
    assert quota == Quota("rejected", None)
    assert quota.spent_until is None


def test_a_missing_reset_is_not_known() -> None:
    assert read_quota(headers(status="rejected")) == Quota("rejected", None)
