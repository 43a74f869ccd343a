"""The newest reading of each upstream, how it is shown, and the line where a status changes."""

import logging
from typing import Any

import pytest

from claude_proxy.exchange import Attempt
from claude_proxy.failures import Failure, FailureKind
from claude_proxy.observers.quota import QuotaWatch
from claude_proxy.wire.quota import Overage, Quota, Window
from tests.frozen_clock import FrozenClock
from tests.observers.closed_exchanges import REFUSED, attempt, exchange

NOW = 1_800_000_000.0
LATER = NOW + 3600


class Watched:
    """A watch with a clock of the test's own."""

    def __init__(self) -> None:
        self.clock = FrozenClock(NOW)
        self.watch = QuotaWatch(clock=self.clock, monotonic=self.clock)

    def read(self, quota: Quota | None, upstream: str = "claude") -> None:
        one = Attempt(upstream, "claude-sonnet-4-5", 100.0, quota=quota)
        self.watch.quota_read(exchange(), one)

    @property
    def shown(self) -> dict[str, Any]:
        return self.watch.shown()

    def windows(self) -> dict[str, Any]:
        return {name: window["status"] for name, window in self.shown["claude"]["windows"].items()}


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Watched:
    caplog.set_level(logging.DEBUG)
    return Watched()


def lines(caplog: pytest.LogCaptureFixture, event: str = "quota") -> list[dict[str, Any]]:
    """The fields of each line, without those that are left out of it, and its level."""
    return [
        {**{k: v for k, v in record.__dict__["fields"].items() if v is not None}, "level": record.levelname}
        for record in caplog.records
        if record.getMessage() == event
    ]


def changes(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str | None]]:
    return [(line["window"], line["status"], line.get("was")) for line in lines(caplog)]


# --- what is kept and shown ------------------------------------------------------------------------------


def test_nothing_is_shown_before_anything_was_read(watched: Watched) -> None:
    assert watched.shown == {}
    watched.read(None)
    assert watched.shown == {}


def test_a_reading_is_shown_whole_with_its_age(watched: Watched) -> None:
    watched.read(
        Quota(
            "allowed_warning",
            LATER,
            "five_hour",
            {"5h": Window("allowed_warning", 0.8, LATER, 0.75), "7d": Window()},
            Overage(Window("rejected"), False, "out_of_credits"),
            0.5,
            {"fallback": "available"},
        )
    )
    watched.clock.advance(12.34)
    unknown = {"status": None, "utilization": None, "resets_at": None, "surpassed_threshold": None}
    assert watched.shown == {
        "claude": {
            "status": "allowed_warning",
            "representative_claim": "five_hour",
            "resets_at": LATER,
            "read_at": NOW,
            "age_seconds": 12.3,
            "windows": {
                "5h": {
                    "status": "allowed_warning",
                    "utilization": 0.8,
                    "resets_at": LATER,
                    "surpassed_threshold": 0.75,
                    "read_at": NOW,
                },
                "7d": {**unknown, "read_at": NOW},
            },
            "overage": {**unknown, "status": "rejected", "in_use": False, "disabled_reason": "out_of_credits"},
            "fallback_percentage": 0.5,
            "other": {"fallback": "available"},
        }
    }


def test_the_newest_replaces_all_that_was_read_before(watched: Watched) -> None:
    watched.read(Quota("allowed", LATER, windows={"5h": Window("allowed", 0.1, LATER), "7d": Window("allowed")}))
    watched.clock.advance(5)
    watched.read(Quota(windows={"5h": Window(None, 0.2)}, other={"note": "x"}))
    newest = watched.shown["claude"]
    assert (newest["status"], newest["resets_at"], newest["read_at"]) == (None, None, NOW + 5)
    assert list(newest["windows"]) == ["5h"]
    assert newest["windows"]["5h"]["utilization"] == 0.2
    assert newest["other"] == {"note": "x"}


def test_who_says_the_same_again_is_read_anew(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        watched.clock.advance(5)
        watched.read(Quota("rejected", LATER, windows={"5h": Window("rejected")}, malformed=("7d-reset",)))
    newest = watched.shown["claude"]
    assert (newest["read_at"], newest["windows"]["5h"]["read_at"], newest["age_seconds"]) == (NOW + 15, NOW + 15, 0)
    assert len(lines(caplog)) == 2
    assert len(lines(caplog, "quota_malformed")) == 3


def test_upstreams_are_kept_apart(watched: Watched) -> None:
    watched.read(Quota("allowed"))
    watched.read(Quota("rejected"), "gateway")
    assert {name: reading["status"] for name, reading in watched.shown.items()} == {
        "claude": "allowed",
        "gateway": "rejected",
    }


def test_one_models_window_is_kept_until_its_reset_since_other_models_answers_do_not_state_it(watched: Watched) -> None:
    watched.read(Quota("rejected", windows={"5h": Window("allowed"), "7d_oi": Window("rejected", 1.0, LATER)}))
    watched.clock.advance(60)
    watched.read(Quota("allowed", windows={"5h": Window("allowed")}))
    watched.read(Quota("allowed", windows={"5h": Window("allowed")}))
    assert watched.windows() == {"5h": "allowed", "7d_oi": "rejected"}
    read_at = {name: window["read_at"] for name, window in watched.shown["claude"]["windows"].items()}
    assert read_at == {"5h": NOW + 60, "7d_oi": NOW}
    watched.read(Quota("allowed", windows={"7d_oi": Window("allowed", 0.0, LATER)}))
    assert watched.windows() == {"7d_oi": "allowed"}
    watched.clock.advance(3600)
    watched.read(Quota("allowed", windows={"5h": Window("allowed")}))
    assert watched.windows() == {"5h": "allowed"}


def test_one_models_window_without_a_reset_is_not_kept(watched: Watched) -> None:
    watched.read(Quota("rejected", windows={"7d_oi": Window("rejected")}))
    watched.read(Quota("allowed"))
    assert watched.windows() == {}


def test_what_could_not_be_read_at_all_replaces_nothing_and_is_one_debug_line(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.read(Quota("allowed"))
    watched.read(Quota(malformed=("status", "5h-reset")))
    assert watched.shown["claude"]["status"] == "allowed"
    assert lines(caplog, "quota_malformed") == [
        {"id": "req_cp_1", "upstream": "claude", "fields": "status,5h-reset", "level": "DEBUG"}
    ]


def test_what_could_be_read_beside_it_counts(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.read(Quota("allowed", malformed=("reset",)))
    assert watched.shown["claude"]["status"] == "allowed"
    assert len(lines(caplog, "quota_malformed")) == 1


def test_an_upstream_cannot_have_ever_more_windows_kept_and_told(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        name = f"{number}d_x"
        watched.read(Quota("allowed", None, f"claim_{number}", {name: Window("rejected", 1.0, LATER)}))
        watched.read(Quota("rejected", None, f"other_{number}"))
    assert len(watched.windows()) <= 16
    assert len({line["window"] for line in lines(caplog)}) <= 16
    watched.read(Quota("allowed", windows={"5h": Window("allowed"), "7d": Window("allowed")}))
    assert {"5h", "7d"} <= set(watched.windows())


def test_what_is_gone_is_forgotten(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.read(Quota("rejected"))
    watched.read(Quota("rejected"), "gateway")
    watched.watch.keep(["gateway", "another"])
    assert set(watched.shown) == {"gateway"}
    watched.read(Quota("rejected"))
    watched.read(Quota("rejected"), "gateway")
    assert [line["upstream"] for line in lines(caplog)] == ["claude", "gateway", "claude"]


def test_what_else_happens_is_nothing_to_it(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.watch.skipped(exchange(), "claude", Failure(FailureKind.UNAVAILABLE, "left alone"))
    watched.watch.attempt_failed(exchange(), attempt(failure=REFUSED))
    watched.watch.closed(exchange())
    assert (watched.shown, caplog.records) == ({}, [])


# --- what is told ----------------------------------------------------------------------------------------


def test_that_all_is_allowed_is_no_news(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        watched.read(Quota("allowed", windows={"5h": Window("allowed"), "7d": Window("allowed")}))
    assert lines(caplog) == []


def test_each_change_of_the_whole_and_of_a_window_is_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for status in ("allowed", "allowed_warning", "rejected", "rejected", "allowed_warning", "allowed"):
        for _ in range(3):
            watched.read(Quota(status, windows={"5h": Window(status), "7d": Window("allowed")}))
    steps = [("allowed_warning", "allowed"), ("rejected", "allowed_warning"), ("allowed_warning", "rejected")]
    steps.append(("allowed", "allowed_warning"))
    assert changes(caplog) == [(window, *step) for step in steps for window in ("5h", "all")]
    assert [line["level"] for line in lines(caplog)] == ["WARNING"] * 6 + ["INFO"] * 2


def test_a_line_says_what_a_person_wants_to_know(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    overage = Overage(Window("allowed"), True)
    watched.read(Quota("rejected", LATER, "five_hour", {"5h": Window("rejected", 1.0, LATER)}, overage))
    known = {"upstream": "claude", "status": "rejected", "resets_at": LATER, "level": "WARNING"}
    assert lines(caplog) == [
        {**known, "window": "5h", "utilization": 1.0},
        {**known, "window": "all", "claim": "five_hour", "overage_in_use": True},
    ]


def test_a_status_that_was_not_said_is_no_change(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.read(Quota("rejected", windows={"5h": Window("rejected")}))
    watched.read(Quota(windows={"5h": Window(None, 0.5)}))
    watched.read(Quota("rejected", windows={"5h": Window("rejected")}))
    assert len(lines(caplog)) == 2


def test_that_one_models_window_is_spent_is_told_of_it_alone(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the plan would seem spent and allowed by turns, as the models are asked."""
    spent = Quota("rejected", LATER, "seven_day_overage_included", {"7d_oi": Window("rejected", 1.0, LATER)})
    for _ in range(3):
        watched.read(spent)
        watched.read(Quota("allowed", LATER, "five_hour", {"5h": Window("allowed")}))
    assert changes(caplog) == [("7d_oi", "rejected", None)]


def test_a_model_of_which_no_window_is_stated_is_told_by_the_claim_once_for_each_reset(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for reset in (LATER, LATER, LATER + 7 * 86400):
        watched.read(Quota("rejected", reset, "seven_day_opus", {"5h": Window("allowed")}))
        watched.read(Quota("allowed", LATER, "five_hour", {"5h": Window("allowed")}))
    assert changes(caplog) == [("seven_day_opus", "rejected", None), ("seven_day_opus", "rejected", "rejected")]


def test_each_upstream_is_told_by_itself(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.read(Quota("rejected"))
    watched.read(Quota("rejected"), "gateway")
    assert [line["upstream"] for line in lines(caplog)] == ["claude", "gateway"]
