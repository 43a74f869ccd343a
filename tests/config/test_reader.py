"""Typed values are read out of a mapping; all that does not fit is complained of, none of it stops the reading."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.config.reader import Reader
from claude_proxy.config.tree import Complaint
from claude_proxy.config.yaml_tree import read_yaml


class Given:
    """A reader over a text, and what it complains of."""

    def __init__(self, text: str, path: str = "") -> None:
        self.complaints: list[Complaint] = []
        self.reader = Reader(read_yaml(text, "x.yaml", self.complaints), path, self.complaints)

    @property
    def told(self) -> list[str]:
        return [str(complaint) for complaint in self.complaints]

    def assert_expected(self, what: str) -> None:
        """Exactly one complaint, about the value of `a`, which stands at 1:4."""
        (told,) = self.told
        assert told.startswith(f"x.yaml:1:4 a: expected {what}"), told


DURATIONS = {
    "500ms": 0.5,
    "10s": 10.0,
    "5m": 300.0,
    "2h": 7200.0,
    "1d": 86400.0,
    "1.5s": 1.5,
    "10 s": 10.0,
    "7": 7.0,
    "0.5": 0.5,
    "0s": 0.0,
    "'3m'": 180.0,
}


@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_is_read_in_seconds(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.duration("a", 99.0) == DURATIONS[text]
    assert given_.told == []


@pytest.mark.parametrize(
    "text", ["soon", "-5s", "10 parsecs", "true", "[1]", "{b: 1}", "1e3", "'10s 5s'", ".inf", "''"]
)
def test_what_is_no_duration_is_told_and_stood_in_for(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.duration("a", 99.0) == 99.0
    given_.assert_expected("a duration such as 500ms, 10s or 5m, found ")


SIZES = {
    "1024": 1024,
    "4096B": 4096,
    "64KiB": 64 << 10,
    "64MiB": 64 << 20,
    "2GiB": 2 << 30,
    "5kb": 5000,
    "5 MB": 5_000_000,
    "1gb": 10**9,
}


@pytest.mark.parametrize("text", SIZES)
def test_a_size_is_read_in_bytes(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.size("a", 1024) == SIZES[text]
    assert given_.told == []


@pytest.mark.parametrize("text", ["much", "-5", "1.5MiB", "64Mib/s", "true", "[1]", "1023", "1000B"])
def test_what_is_no_size_or_too_small_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.size("a", 1024) == 1024
    given_.assert_expected("a size of at least 1024 bytes, such as 64MiB, found ")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), ("65535", 65535)])
def test_a_whole_number_is_read(text: str, value: int) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.integer("a", 0, 65535) == value
    assert given_.told == []


@pytest.mark.parametrize("text", ["-1", "65536", "1.0", "true", "'7'", "text", "[7]"])
def test_what_is_no_whole_number_in_the_range_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.integer("a", 0, 65535, 8082) == 8082
    given_.assert_expected("a whole number from 0 to 65535, found ")


@pytest.mark.parametrize(
    ("text", "value"), [("0", "0"), ("0.1", "0.1"), ("'2.5'", "2.5"), ("1e-2", "0.01"), ("9", "9"), ("null", None)]
)
def test_a_decimal_is_read_as_it_is_written(text: str, value: str | None) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.decimal("a", 9, 2) == value
    assert given_.told == []


@pytest.mark.parametrize("text", ["-1", "10", "0.001", "true", ".nan", ".inf", "-.inf", "text", "[7]", "{ b: 1 }"])
def test_what_is_no_decimal_in_the_range_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.decimal("a", 9, 2) is None
    given_.assert_expected("a number from 0 to 9 with at most 2 decimal places, found ")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("yes", True), ("off", False)])
def test_true_and_false_are_read(text: str, value: bool) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.boolean("a", default=not value) is value
    assert given_.told == []


@pytest.mark.parametrize("text", ["1", "maybe", "'true'", "[]"])
def test_what_is_neither_true_nor_false_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.boolean("a", default=True) is True
    given_.assert_expected("true or false, found ")


def test_text_is_read_without_the_spaces_around_it() -> None:
    given_ = Given("a: '  some text '")
    assert given_.reader.text("a") == "some text"
    assert given_.told == []


@pytest.mark.parametrize(("text", "found"), [("7", "7"), ("'  '", "'  '"), ("[b]", "a list"), ("{b: c}", "a mapping")])
def test_what_is_no_text_is_told(text: str, found: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.text("a", "stand-in") == "stand-in"
    given_.assert_expected(f"text, found {found}")


def test_what_is_absent_has_its_default_and_is_no_fault() -> None:
    given_ = Given("b: 1")
    reader = given_.reader
    assert reader.text("a", "text") == "text"
    assert reader.texts("a") == ()
    assert reader.boolean("a", default=True) is True
    assert reader.integer("a", 1, 5, 3) == 3
    assert reader.duration("a", 9.0) == 9.0
    assert reader.choice("a", ("x", "y"), "y") == "y"
    assert given_.told == []


def test_a_list_of_texts_is_read() -> None:
    given_ = Given("a: [b, 'c d']\ne: []")
    assert given_.reader.texts("a") == ("b", "c d")
    assert given_.reader.texts("e") == ()
    assert given_.told == []


@pytest.mark.parametrize("text", ["b", "[7]", "[b, [c]]", "{b: c}", "[null]"])
def test_what_is_no_list_of_texts_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.texts("a") == ()
    given_.assert_expected("a list of texts, such as [a, b], found ")


def test_a_choice_is_read() -> None:
    given_ = Given("a: minimax")
    assert given_.reader.choice("a", ("anthropic", "minimax"), "anthropic") == "minimax"
    assert given_.told == []


def test_what_is_no_choice_is_told_with_its_nearest_neighbour() -> None:
    given_ = Given("a: minimacks")
    assert given_.reader.choice("a", ("anthropic", "minimax"), "anthropic") == "anthropic"
    assert given_.told == [
        "x.yaml:1:4 a: expected one of anthropic, minimax, found 'minimacks'; did you mean 'minimax'?"
    ]


def test_what_is_no_choice_and_near_to_none_is_told_with_all_of_them() -> None:
    given_ = Given("a: zzz")
    assert given_.reader.choice("a", ("anthropic", "minimax")) == "anthropic"
    assert given_.told == ["x.yaml:1:4 a: expected one of anthropic, minimax, found 'zzz'"]


def test_a_section_is_a_reader_that_knows_its_path() -> None:
    given_ = Given("a: {b: {c: x}}")
    inner = given_.reader.section("a").section("b")
    assert inner.path == "a.b"
    inner.integer("c", 0, 1)
    assert given_.told == ["x.yaml:1:12 a.b.c: expected a whole number from 0 to 1, found 'x'"]


@pytest.mark.parametrize("text", ["5", "[1]", "text"])
def test_a_section_that_is_no_mapping_is_told_and_reads_as_empty(text: str) -> None:
    given_ = Given(f"a: {text}")
    inner = given_.reader.section("a")
    assert inner.text("b", "stand-in") == "stand-in"
    assert given_.told == ["x.yaml:1:4 a: expected a mapping of settings"]


def test_a_section_that_is_absent_reads_as_empty() -> None:
    given_ = Given("b: 1")
    assert given_.reader.section("a").text("c", "stand-in") == "stand-in"
    assert given_.told == []


def test_the_mappings_of_a_list_are_read_with_their_number() -> None:
    given_ = Given("a:\n  - {b: 1}\n  - {b: x}\n")
    first, second = given_.reader.items("a")
    assert (first.integer("b", 0, 9), second.integer("b", 0, 9)) == (1, 0)
    assert given_.told == ["x.yaml:3:9 a[1].b: expected a whole number from 0 to 9, found 'x'"]


@pytest.mark.parametrize("text", ["5", "{b: 1}", "text"])
def test_what_is_no_list_is_told(text: str) -> None:
    given_ = Given(f"a: {text}")
    assert given_.reader.items("a") == []
    given_.assert_expected("a list, found ")


def test_a_member_that_is_no_mapping_is_told() -> None:
    given_ = Given("a: [5]")
    given_.reader.items("a")
    assert given_.told == ["x.yaml:1:5 a[0]: expected a mapping of settings"]


def test_names_are_those_that_were_written() -> None:
    assert list(Given("b: 1\na: 2").reader.names()) == ["b", "a"]


def test_an_unknown_key_is_told_with_its_nearest_neighbour_at_the_place_of_the_key() -> None:
    given_ = Given("timeout: 1s\n\ntimeot: 2s\n", "transport")
    given_.reader.duration("timeout")
    given_.reader.finish()
    assert given_.told == ["x.yaml:3:1 transport.timeot: unknown setting; did you mean 'timeout'?"]


def test_an_unknown_key_that_is_near_to_none_is_told_with_all_that_are_known() -> None:
    given_ = Given("zzz: 1")
    given_.reader.text("host")
    given_.reader.text("port")
    given_.reader.finish()
    assert given_.told == ["x.yaml:1:1 zzz: unknown setting; known here: host, port"]


def test_an_unknown_key_may_have_a_hint_of_its_own() -> None:
    given_ = Given("api_key: 1")
    given_.reader.text("api_url")
    given_.reader.finish({"api_key": "secrets are named elsewhere"})
    assert given_.told == ["x.yaml:1:1 api_key: unknown setting; secrets are named elsewhere"]


def test_every_key_that_was_read_is_known() -> None:
    given_ = Given("a: 1\nb: {c: 1}\nd: [{e: 1}]\n")
    given_.reader.get("a")
    given_.reader.section("b")
    given_.reader.items("d")
    given_.reader.finish()
    assert given_.told == []


SECRET = "sk-ant-api03-FAKE-secret"


@pytest.mark.parametrize("kind", ["duration", "size", "integer", "decimal", "boolean", "choice", "items", "texts"])
def test_a_secret_in_the_wrong_place_is_never_quoted(kind: str) -> None:
    given_ = Given(f"a: {SECRET}")
    reader = given_.reader
    match kind:
        case "duration":
            reader.duration("a")
        case "size":
            reader.size("a", 1)
        case "integer":
            reader.integer("a", 0, 9)
        case "decimal":
            reader.decimal("a", 9, 2)
        case "boolean":
            reader.boolean("a")
        case "choice":
            reader.choice("a", ("x", "y"))
        case "items":
            reader.items("a")
        case _:
            reader.texts("a")
    (told,) = given_.told
    assert "FAKE" not in told


def test_a_long_value_is_not_quoted_whole() -> None:
    given_ = Given(f"a: {'x' * 5000}")
    given_.reader.duration("a")
    assert len(given_.told[0]) < 300


@given(st.floats(0.001, 10_000).map(lambda number: round(number, 3)), st.sampled_from(["ms", "s", "m", "h", "d"]))
@settings(max_examples=100)
def test_any_number_with_any_unit_is_a_duration(number: float, unit: str) -> None:
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    given_ = Given(f"a: {number}{unit}")
    assert given_.reader.duration("a") == pytest.approx(number * seconds)
    assert given_.told == []
