"""Log lines: one for each thing that happens, in a form to be searched, with no secret in them."""

import io
import json
import logging
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.logline import _SECRET_SHAPES, REDACTED, JsonFormatter, KeyValueFormatter, Redactor, say

SECRET = "FAKE-secret-of-a-provider"


class Colour(StrEnum):
    RED = "red"


@dataclass
class Log:
    """A logger of its own, and what it wrote."""

    logger: logging.Logger
    written: io.StringIO
    redactor: Redactor

    def lines(self) -> list[str]:
        return self.written.getvalue().splitlines()

    def line(self) -> str:
        (line,) = self.lines()
        return line


def opened(formatter: type[KeyValueFormatter | JsonFormatter]) -> Log:
    logger = logging.Logger("claude_proxy.test")  # noqa: LOG001 - one that no other test writes to
    log = Log(logger, io.StringIO(), Redactor())
    handler = logging.StreamHandler(log.written)
    handler.setFormatter(formatter(log.redactor))
    log.logger.addHandler(handler)
    return log


@pytest.fixture(params=[KeyValueFormatter, JsonFormatter])
def log(request: pytest.FixtureRequest) -> Log:
    return opened(request.param)


@pytest.fixture
def plain() -> Log:
    return opened(KeyValueFormatter)


@pytest.fixture
def as_json() -> Log:
    return opened(JsonFormatter)


def fields_of(line: str) -> dict[str, str]:
    """A key=value line read back, by the rule that a quoted value is a JSON string."""
    found = re.findall(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)', line)
    return {name: json.loads(value) if value.startswith('"') else value for name, value in found}


# --- what a line says --------------------------------------------------------------------------------------


def test_a_line_says_when_how_grave_and_what_in_that_order(plain: Log) -> None:
    say(plain.logger, logging.WARNING, "attempt_failed", upstream="minimax", status=529)
    pattern = (
        r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=warning event=attempt_failed upstream=minimax status=529"
    )
    assert re.fullmatch(pattern, plain.line())


def test_the_time_is_that_of_the_record_in_utc(plain: Log) -> None:
    record = logging.LogRecord("claude_proxy", logging.INFO, "", 0, "event", None, None)
    record.created = 1790000000.25
    assert KeyValueFormatter(Redactor()).format(record).startswith("ts=2026-09-21T14:13:20.250Z ")


def test_the_same_line_as_json(as_json: Log) -> None:
    say(as_json.logger, logging.INFO, "exchange", model="m", tokens=7, share=0.5, stream=True, cause='"é"')
    said = json.loads(as_json.line())
    assert list(said) == ["ts", "level", "event", "model", "tokens", "share", "stream", "cause"]
    assert said | {"ts": ""} == {
        "ts": "",
        "level": "info",
        "event": "exchange",
        "model": "m",
        "tokens": 7,
        "share": 0.5,
        "stream": True,
        "cause": '"é"',
    }


def test_what_is_not_known_is_left_out_and_what_is_zero_is_not(log: Log) -> None:
    say(log.logger, logging.INFO, "exchange", unknown=None, zero=0, off=False)
    assert "unknown" not in log.line()
    assert "zero" in log.line()
    assert "off" in log.line()


def test_a_level_that_is_not_wanted_says_nothing(log: Log) -> None:
    log.logger.setLevel(logging.WARNING)
    say(log.logger, logging.INFO, "exchange")
    assert log.lines() == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("http://127.0.0.1:8082/a?b", '"http://127.0.0.1:8082/a?b"'),
        ("claude-opus-4-8[1m]", "claude-opus-4-8[1m]"),
        ("a,b+c*", "a,b+c*"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('"', '"\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("nul\x00", '"nul\\u0000"'),
        ("é", '"é"'),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (100, "100"),
        (100.0, "100"),
        (1.5, "1.5"),
        (0.0, "0"),
        (1 / 3, "0.333"),
        (Colour.RED, "red"),
        (ValueError("no"), "no"),
    ],
)
def test_a_value_is_written_plainly_or_quoted_like_json(plain: Log, value: object, written: str) -> None:
    say(plain.logger, logging.INFO, "event", value=value)
    assert plain.line().partition(" value=")[2] == written


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=5))
@settings(max_examples=200, deadline=None)
def test_no_words_of_a_peer_begin_a_line_or_a_field_of_their_own(fields: dict[str, Any]) -> None:
    fields = {f"x_{name}": value for name, value in fields.items()}
    for log in (opened(KeyValueFormatter), opened(JsonFormatter)):
        say(log.logger, logging.INFO, "event", **fields)
        assert log.written.getvalue().count("\n") == 1
        line = log.written.getvalue().removesuffix("\n")
        said = json.loads(line) if line.startswith("{") else fields_of(line)
        assert {name: said[name] for name in said if name.startswith("x_")} == fields


def test_lines_of_libraries_say_where_they_come_from(plain: Log) -> None:
    plain.logger.warning("slow %s", "callback")
    assert fields_of(plain.line()) | {"ts": ""} == {
        "ts": "",
        "level": "warning",
        "event": "log",
        "logger": "claude_proxy.test",
        "message": "slow callback",
    }


def test_an_exception_stays_on_its_line(plain: Log) -> None:
    try:
        raise ValueError("it broke")
    except ValueError:
        plain.logger.exception("while serving")
    said = fields_of(plain.line())
    assert said["message"] == "while serving"
    assert said["exception"].startswith("Traceback")
    assert said["exception"].endswith("ValueError: it broke")


def test_no_exception_is_no_field(plain: Log) -> None:
    plain.logger.handle(logging.LogRecord("l", logging.ERROR, "", 0, "m", None, (None, None, None)))
    assert "exception" not in plain.line()


# --- what a line never says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", [SECRET, 'with"quote', "back\\slash", "two words", "line\nbreak", "ключик", "=equals=", "123456"]
)
def test_a_secret_that_was_read_is_nowhere_in_a_line(log: Log, secret: str) -> None:
    log.redactor.learn(secret)
    say(log.logger, logging.INFO, "event", cause=f"refused: {secret}!", value=secret, error=ValueError(secret))
    log.logger.warning("a library says %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.logger.exception("failed")
    assert len(log.lines()) == 3
    for line in log.lines():
        assert REDACTED in line
        assert secret not in line
        assert json.dumps(secret)[1:-1] not in line
        assert json.dumps(secret, ensure_ascii=False)[1:-1] not in line


def test_a_line_with_a_secret_taken_out_is_json_all_the_same(as_json: Log) -> None:
    as_json.redactor.learn("123456")
    say(as_json.logger, logging.INFO, "event", size=123456, cause='"123456"')
    assert json.loads(as_json.line())["cause"] == f'"{REDACTED}"'


def test_a_secret_that_begins_another_leaves_nothing_of_the_longer_one() -> None:
    redactor = Redactor()
    secrets = [f"FAKE-key{'-and-more' * n}" for n in range(20)]
    for secret in secrets:
        redactor.learn(secret)
    assert [redactor.clean(secret) for secret in secrets] == [REDACTED] * 20


@pytest.mark.parametrize("short", ["", "a", "event"])
def test_what_is_too_short_for_a_secret_is_not_taken_out(short: str) -> None:
    redactor = Redactor()
    redactor.learn(short)
    assert redactor.clean("an event happened") == "an event happened"


def test_six_characters_are_enough_for_a_secret() -> None:
    redactor = Redactor()
    redactor.learn("s3cret")
    assert redactor.clean("it is s3cret, s3cret") == "it is [redacted], [redacted]"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("key sk-ant-oat01-FAKE_x-1.", f"key {REDACTED}."),
        ("sk-FAKE1234", REDACTED),
        ("(sk-FAKE1234)", f"({REDACTED})"),
        ("Authorization: Bearer FAKE.abc~+/=-", f"Authorization: {REDACTED}"),
        ("BEARER\tFAKE-login", REDACTED),
        ("\nsk-FAKE1234", f"\n{REDACTED}"),
    ],
)
def test_what_looks_like_a_credential_is_taken_out_though_nobody_told_of_it(text: str, cleaned: str) -> None:
    assert Redactor().clean(text) == cleaned


@given(
    st.lists(
        st.sampled_from([SECRET, "sk-", "FAKE1234", "B", "b", "earer", "EARER", "Earer", " ", "-", "x"]), max_size=8
    )
)
def test_to_look_for_its_signs_first_finds_every_secret(parts: list[str]) -> None:
    text = "".join(parts)
    redactor = Redactor()
    redactor.learn(SECRET)
    assert redactor.clean(text) == re.sub(f"{SECRET}|{_SECRET_SHAPES}", REDACTED, text)


@pytest.mark.parametrize(
    "text", ["sk-short", "Bearer no", "task-management", "disk-usage-high", "ask-me-anything", "upstream minimax"]
)
def test_what_only_resembles_a_credential_stays(text: str) -> None:
    assert Redactor().clean(text) == text
