"""The subscription's windows, read from an answer's headers."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_proxy.wire.quota import Overage, Quota, Window, read_quota

PREFIX = "anthropic-ratelimit-unified-"

# As api.anthropic.com has answered 429 to a login whose week with one model was spent.
ONE_MODEL_SPENT = {
    "5h-reset": "1785685200",
    "5h-status": "allowed",
    "5h-utilization": "0.0",
    "7d-reset": "1785736800",
    "7d-status": "allowed_warning",
    "7d-surpassed-threshold": "0.75",
    "7d-utilization": "0.94",
    "7d_oi-reset": "1785736900",
    "7d_oi-status": "rejected",
    "7d_oi-surpassed-threshold": "1.0",
    "7d_oi-utilization": "1.02",
    "fallback-percentage": "0.5",
    "overage-disabled-reason": "org_level_disabled",
    "overage-status": "rejected",
    "representative-claim": "seven_day_overage_included",
    "reset": "1785736900",
    "status": "rejected",
}

# And 200, while paid usage carried on where the plan's five hours were spent.
OVERAGE_PAYS = {
    "5h-reset": "1785360000",
    "5h-status": "rejected",
    "5h-utilization": "1.0",
    "overage-in-use": "true",
    "overage-reset": "1785542400",
    "overage-status": "allowed",
    "overage-utilization": "0.0",
    "representative-claim": "five_hour",
    "reset": "1785360000",
    "status": "rejected",
    "upgrade-paths": "overage",
}

NAMES = ("status", "reset", "representative-claim", "5h-status", "5h-utilization", "7d_oi-reset", "overage-in-use")


def headers(fields: dict[str, str]) -> list[tuple[str, str]]:
    return [("request-id", "req_1"), *((PREFIX + name, value) for name, value in fields.items())]


def read(fields: dict[str, str]) -> Quota:
    quota = read_quota(headers(fields))
    assert quota is not None
    return quota


def window(name: str, **fields: str) -> dict[str, str]:
    return {f"{name}-{field.replace('_', '-')}": value for field, value in fields.items()}


# --- what is read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "others",
    [
        [],
        [("retry-after", "3")],
        [("anthropic-ratelimit-requests-remaining", "7")],
        [("anthropic-ratelimit-unified", "x"), (PREFIX, "x")],
        [("x-" + PREFIX + "status", "allowed"), ("anthropic_ratelimit_unified_status", "allowed")],
    ],
)
def test_an_answer_without_these_headers_states_no_quota(others: list[tuple[str, str]]) -> None:
    assert read_quota(others) is None


def test_everything_that_a_login_is_told_is_read() -> None:
    assert read(ONE_MODEL_SPENT) == Quota(
        status="rejected",
        reset=1785736900.0,
        representative_claim="seven_day_overage_included",
        windows={
            "5h": Window("allowed", 0.0, 1785685200.0),
            "7d": Window("allowed_warning", 0.94, 1785736800.0, 0.75),
            "7d_oi": Window("rejected", 1.02, 1785736900.0, 1.0),
        },
        overage=Overage(Window("rejected"), None, "org_level_disabled"),
        fallback_percentage=0.5,
    )


def test_what_is_paid_beyond_the_plan_is_read_and_what_is_not_known_is_kept() -> None:
    quota = read(OVERAGE_PAYS)
    assert quota.overage == Overage(Window("allowed", 0.0, 1785542400.0), True, None)
    assert quota.other == {"upgrade-paths": "overage"}


def test_the_names_are_compared_without_regard_to_case() -> None:
    pairs = [(PREFIX.title() + "Status", "rejected"), (PREFIX.upper() + "5H-RESET", "5")]
    assert read_quota(pairs) == Quota("rejected", windows={"5h": Window(reset=5.0)})


def test_of_a_field_that_stands_twice_the_first_counts() -> None:
    assert read_quota([(PREFIX + "status", "allowed"), (PREFIX + "status", "rejected")]) == Quota("allowed")


def test_what_many_answers_say_is_read_once_and_each_change_of_it_again() -> None:
    said = [(PREFIX + "status", "allowed"), (PREFIX + "5h-utilization", "0.5")]
    first = read_quota([("date", "now"), *said])
    assert read_quota([*said, ("date", "later")]) is first
    assert read_quota([said[0], (PREFIX + "5h-utilization", "0.6")]) == Quota(
        "allowed", windows={"5h": Window(None, 0.6)}
    )
    assert read_quota([said[0], (PREFIX + "7d-utilization", "0.5")]) == Quota(
        "allowed", windows={"7d": Window(None, 0.5)}
    )
    assert first == Quota("allowed", windows={"5h": Window(None, 0.5)})


@pytest.mark.parametrize("name", ["7d_sonnet", "30d", "1h", "12mo", "7d_a_model_of_tomorrow"])
def test_a_window_that_is_not_known_is_a_window(name: str) -> None:
    assert read(window(name, utilization="0.5", reset="9")).windows == {name: Window(None, 0.5, 9.0)}


@pytest.mark.parametrize("name", ["grace-5h-utilization", "slow-budget-reset", "remaining", "fallback", "all-status"])
def test_what_is_no_window_and_no_field_of_ours_is_kept_as_text(name: str) -> None:
    assert read({name: "0.12"}) == Quota(other={name: "0.12"})


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_is_missing_or_empty_is_not_known_and_no_fault(name: str) -> None:
    empty = read({name: "", "fallback-percentage": "0.5"})
    assert empty == Quota(fallback_percentage=0.5)


def test_a_windows_own_status_is_not_the_plans() -> None:
    assert read(window("5h", status="rejected", reset="5")).status is None


# --- what cannot be read ---------------------------------------------------------------------------------

NO_NUMBERS = (
    *("soon", "2026-11-21T07:00:00Z", "inf", "-inf", "nan", "1e999", "-1", "1_000", "0x10", "1,5", "½", "٣", "--1"),
    "0" * 33,
)


@pytest.mark.parametrize("value", [*NO_NUMBERS, "1790000000000"])
def test_a_malformed_reset_counts_as_absent_and_is_named(value: str) -> None:
    quota = read({"status": "rejected", "reset": value, "5h-reset": value})
    assert quota == Quota("rejected", malformed=("reset", "5h-reset"))
    assert quota.spent_until is None


@pytest.mark.parametrize("value", [*NO_NUMBERS, "1001"])
def test_a_malformed_share_counts_as_absent_and_is_named(value: str) -> None:
    quota = read({"5h-utilization": value, "5h-status": "allowed", "fallback-percentage": value})
    assert quota.windows == {"5h": Window("allowed")}
    assert quota.malformed == ("5h-utilization", "fallback-percentage")


@pytest.mark.parametrize("value", ["x" * 65, "a\x00b", "a\tb", "caf\xe9", "\x1b[31m"])
def test_a_word_that_is_too_long_or_not_plain_counts_as_absent_and_is_named(value: str) -> None:
    for name in ("status", "representative-claim", "5h-status", "overage-disabled-reason"):
        assert read({name: value}) == Quota(malformed=(name,))


@pytest.mark.parametrize("value", ["yes", "1", "truee"])
def test_what_is_neither_true_nor_false_counts_as_absent_and_is_named(value: str) -> None:
    assert read({"overage-in-use": value}) == Quota(malformed=("overage-in-use",))


def test_a_text_or_a_name_of_any_length_is_not_kept() -> None:
    long_name = "x" * 5000
    quota = read({"note": "y" * 201, long_name: "z", "short": "y" * 200})
    assert quota.other == {"short": "y" * 200}
    assert quota.malformed == ("note", "x" * 64)


def test_only_so_many_windows_and_fields_are_kept() -> None:
    windows = {f"{number}d-status": "allowed" for number in range(100)}
    quota = read({**windows, **{f"note-{number}": "x" for number in range(100)}, "status": "allowed"})
    assert (len(quota.windows), len(quota.other), len(quota.malformed)) == (16, 16, 16)
    assert quota.status == "allowed"


def test_nothing_that_could_be_read_is_empty_and_anything_is_not() -> None:
    assert read({"status": "\x00", "5h-reset": "soon"}).is_empty
    for name in NAMES:
        value = "true" if name == "overage-in-use" else "1"
        assert not read({name: value}).is_empty, name
    assert not read({"note": "x"}).is_empty


FIELDS = st.one_of(
    st.sampled_from(NAMES),
    st.from_regex(r"[0-9]{1,5}[a-z_]{1,40}-(status|utilization|reset|surpassed-threshold)", fullmatch=True),
    st.text(max_size=80),
)
VALUES = st.one_of(
    st.text(max_size=300),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.integers().map(str),
    st.sampled_from(["allowed", "rejected", "true", "five_hour", "0.5", "1790000000"]),
)


@given(st.lists(st.tuples(FIELDS, VALUES), max_size=60))
def test_whatever_is_said_what_is_kept_is_bounded_and_raises_nothing(said: list[tuple[str, str]]) -> None:
    quota = read_quota([(PREFIX + name, value) for name, value in said])
    if quota is None:
        assert not any(said_name for said_name, _ in said)
        return
    for one in [*quota.windows.values(), *([quota.overage.window] if quota.overage else [])]:
        for number in (one.utilization, one.reset, one.surpassed_threshold):
            assert number is None or (math.isfinite(number) and number >= 0)
    assert max(len(quota.windows), len(quota.other), len(quota.malformed)) <= 16
    texts = quota.words.splitlines()
    assert all(len(text) <= 200 for text in texts)
    assert all(re.fullmatch(r"[ -~]*", value) for value in [*quota.other.values(), quota.status or ""])
    assert quota.spent_until is None or quota.spent_until >= 0
    assert quota.of_one_model in {True, False}


@given(st.floats(min_value=0, max_value=1.5), st.floats(min_value=0, max_value=4e9))
def test_a_good_number_is_the_number_that_was_said(share: float, reset: float) -> None:
    fields = {"5h-utilization": repr(share), "5h-reset": repr(reset)}
    quota = read(fields)
    if all(len(value) <= 32 for value in fields.values()):
        assert quota.windows["5h"] == Window(None, share, reset)


# --- what follows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["allowed", "allowed_warning", "a status of tomorrow"])
def test_a_plan_that_is_not_rejected_is_not_spent(status: str) -> None:
    assert read({"status": status, "reset": "1790000000"}).spent_until is None
    assert read({"status": status, "reset": "1790000000", **window("7d", status="rejected")}).spent_until is None


def test_a_rejected_plan_is_spent_until_its_reset() -> None:
    fields = {"status": "rejected", "reset": "1790000000", **window("5h", status="rejected", reset="1795000000")}
    assert read(fields).spent_until == 1790000000.0


def test_without_a_reset_of_the_plan_the_latest_of_the_rejected_windows_counts() -> None:
    windows = {
        **window("5h", status="rejected", reset="5"),
        **window("7d", status="rejected", reset="7"),
        **window("7d_oi", status="allowed", reset="9"),
        **window("30d", status="rejected"),
    }
    assert read({"status": "rejected", **windows}).spent_until == 7.0


def test_without_a_status_of_the_plan_a_rejected_window_speaks_for_it() -> None:
    assert read(window("5h", status="rejected", reset="5")).spent_until == 5.0
    assert read({"reset": "6", **window("5h", status="rejected", reset="5")}).spent_until == 6.0
    assert read(window("5h", status="allowed", reset="5")).spent_until is None


def test_a_reset_that_was_not_said_is_not_known() -> None:
    assert read({"status": "rejected"}).spent_until is None


def test_nothing_is_spent_while_paid_usage_carries_on() -> None:
    """Its answers are 200 with the plan `rejected`: who asks again gets an answer again."""
    assert read(OVERAGE_PAYS).spent_until is None
    not_in_use = {**OVERAGE_PAYS, "overage-in-use": "false"}
    assert read(not_in_use).spent_until == 1785360000.0
    del not_in_use["overage-in-use"]
    assert read(not_in_use).spent_until is None
    not_in_use["overage-status"] = "rejected"
    assert read(not_in_use).spent_until == 1785360000.0


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("five_hour", False),
        ("seven_day", False),
        ("overage", False),
        ("seven_day_opus", True),
        ("seven_day_sonnet", True),
        ("seven_day_overage_included", True),
    ],
)
def test_the_claim_tells_whether_one_models_window_binds(claim: str, expected: bool) -> None:
    assert read({"status": "rejected", "representative-claim": claim}).of_one_model is expected
    both = {**window("5h", status="rejected"), **window("7d_oi", status="rejected")}
    assert read({"status": "rejected", "representative-claim": claim, **both}).of_one_model is expected


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        ([], False),
        (["5h"], False),
        (["7d"], False),
        (["7d_oi"], True),
        (["7d_oi", "7d_x"], True),
        (["7d_oi", "7d"], False),
    ],
)
def test_without_a_claim_the_rejected_windows_tell(spent: list[str], expected: bool) -> None:
    fields = {"status": "rejected"}
    for name in ("5h", "7d", "7d_oi", "7d_x"):
        fields.update(window(name, status="rejected" if name in spent else "allowed"))
    assert read(fields).of_one_model is expected


def test_its_words_are_all_that_an_upstream_could_say_more_with() -> None:
    fields = {
        "status": "w1",
        "representative-claim": "w2",
        "5h-status": "w3",
        "7d_w4-reset": "4",
        "overage-status": "w5",
        "overage-disabled-reason": "w6",
        "w7": "w8",
        "w9": "\x00",
    }
    assert {word[-2:] for word in read(fields).words.splitlines() if "w" in word} == {f"w{n}" for n in range(1, 10)}
