"""The tree of a configuration: every node knows its place, trees are laid over each other, secrets are found."""

from importlib.resources import files

import pytest
import yaml

from claude_proxy.config.layers import default_text
from claude_proxy.config.tree import (
    Complaint,
    ConfigurationError,
    Node,
    find_secrets,
    looks_secret,
    merge,
    put,
    quoted,
    read_yaml,
)


def tree(text: str) -> Node:
    complaints: list[Complaint] = []
    node = read_yaml(text, "x.yaml", complaints)
    assert complaints == []
    return node


def plain(node: Node) -> object:
    """The values without their places."""
    if isinstance(node.value, dict):
        return {key: plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [plain(inner) for inner in node.value]
    return node.value


def test_a_complaint_names_place_path_and_message() -> None:
    assert str(Complaint("x.yaml:1:2", "a.b", "expected c")) == "x.yaml:1:2 a.b: expected c"
    assert str(Complaint("x.yaml", "", "cannot be read")) == "x.yaml cannot be read"


def test_an_error_holds_every_complaint() -> None:
    complaints = [Complaint("x:1:1", "a", "one"), Complaint("x:2:1", "b", "two")]
    error = ConfigurationError(complaints)
    assert error.complaints == tuple(complaints)
    assert str(error) == "x:1:1 a: one\nx:2:1 b: two"


def test_values_have_the_types_that_yaml_gives_them() -> None:
    text = "a: 1\nb: 1.5\nc: true\nd: text\ne: '1'\nf: null\ng:\nh: [1, {i: no}]\n"
    assert plain(tree(text)) == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": "text",
        "e": "1",
        "f": None,
        "g": None,
        "h": [1, {"i": False}],
    }


def test_every_value_and_every_key_knows_its_place() -> None:
    node = tree("a:\n  b: [1,\n      {c: d}]\n")
    inner = node.value["a"]
    assert node.keys["a"] == "x.yaml:1:1"
    assert inner.keys["b"] == "x.yaml:2:3"
    first, second = inner.value["b"].value
    assert (first.place, second.place, second.keys["c"]) == ("x.yaml:2:7", "x.yaml:3:7", "x.yaml:3:8")
    assert second.value["c"].place == "x.yaml:3:11"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_a_file_that_says_nothing_is_an_empty_mapping(text: str) -> None:
    assert tree(text).value == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1,\n  2\nb: 3\n", "x.yaml:3:"),
        ("a: 'x\n", "x.yaml:2:"),
        ("a: b: c\n", "x.yaml:1:5"),
        ("\tx: 1\n", "x.yaml:1:1"),
        ("a: *nowhere\n", "x.yaml:1:4"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2:1"),
        ("a: \x07\n", "x.yaml"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text: str, place: str) -> None:
    complaints: list[Complaint] = []
    assert read_yaml(text, "x.yaml", complaints).value == {}
    (complaint,) = complaints
    assert complaint.place.startswith(place)
    assert "not valid YAML" in complaint.message
    assert "\n" not in str(complaint)


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "7\n"])
def test_what_is_no_mapping_at_the_top_is_told(text: str) -> None:
    complaints: list[Complaint] = []
    assert read_yaml(text, "x.yaml", complaints).value == {}
    assert [str(complaint) for complaint in complaints] == ["x.yaml:1:1 expected a mapping of settings at the top"]


def test_a_key_that_stands_twice_is_told_at_its_second_place() -> None:
    complaints: list[Complaint] = []
    read_yaml("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\nlist:\n  - {e: 1, e: 2}\na: 4\n", "x.yaml", complaints)
    assert [(complaint.place, complaint.path) for complaint in complaints] == [
        ("x.yaml:5:3", "b.c"),
        ("x.yaml:7:12", "list[0].e"),
        ("x.yaml:8:1", "a"),
    ]
    assert {complaint.message for complaint in complaints} == {"stands twice in this mapping; keep one of them"}


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n"])
def test_a_value_that_contains_itself_is_told(text: str) -> None:
    complaints: list[Complaint] = []
    read_yaml(text, "x.yaml", complaints)
    assert [complaint.place.partition(":")[0] for complaint in complaints] == ["x.yaml"]


def test_a_value_that_yaml_cannot_make_is_taken_as_its_text() -> None:
    assert plain(tree("a: 2001-99-99\nb: !unknown x\n")) == {"a": "2001-99-99", "b": "x"}


def test_mappings_are_merged_and_everything_else_is_replaced() -> None:
    under = tree("a: {b: 1, c: {d: 2, e: [1, 2]}}\nf: 3\n")
    over = tree("a: {c: {e: [9]}, g: 4}\nf: {h: 5}\n")
    assert plain(merge(under, over)) == {"a": {"b": 1, "c": {"d": 2, "e": [9]}, "g": 4}, "f": {"h": 5}}


def test_merging_keeps_the_place_of_what_was_written_last() -> None:
    under = read_yaml("a: {b: 1}\n", "under.yaml", [])
    over = read_yaml("\na:\n  c: 2\n", "over.yaml", [])
    inner = merge(under, over).value["a"]
    assert inner.value["b"].place == "under.yaml:1:8"
    assert inner.value["c"].place == "over.yaml:3:6"
    assert inner.keys == {"b": "under.yaml:1:5", "c": "over.yaml:3:3"}


def test_null_removes_an_entry_with_settings_of_its_own() -> None:
    merged = merge(tree("a: {b: {x: 1}, c: {x: 2}}\n"), tree("a: {b: null}\n"))
    assert plain(merged) == {"a": {"c": {"x": 2}}}


def test_merging_changes_neither_tree() -> None:
    under, over = tree("a: {b: {x: 1}}\n"), tree("a: {b: null, c: 1}\n")
    merge(under, over)
    assert plain(under) == {"a": {"b": {"x": 1}}}
    assert plain(over) == {"a": {"b": None, "c": 1}}


def test_a_value_is_put_deep_into_the_tree() -> None:
    node = tree("a: {b: 1}\nc: 2\n")
    put(node, ["a", "d", "e"], 3, "variable X")
    put(node, ["c", "f"], 4, "variable Y")
    put(node, ["g"], 5, "variable Z")
    assert plain(node) == {"a": {"b": 1, "d": {"e": 3}}, "c": {"f": 4}, "g": 5}
    assert node.value["a"].value["d"].keys == {"e": "variable X"}
    assert node.value["c"].value["f"].place == "variable Y"
    assert node.keys["g"] == "variable Z"


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-FAKEFAKE",
        "sk-ant-oat01-FAKE_FAKE",
        "Bearer sk-FAKEFAKEFAKE",
        "eyJhbGciOiJSUzI1NiIsInR5cCI6.eyJHcm91cE5hbWUi.FAKE",
        "ghp_FAKEFAKEFAKEFAKEFAKE",
        "https://x.example/?key=sk-FAKEFAKE",
    ],
)
def test_a_key_or_token_looks_secret(text: str) -> None:
    assert looks_secret(text)


@pytest.mark.parametrize(
    "text",
    ["env:ANTHROPIC_API_KEY", "keyring:minimax", "proxy-managed", "claude-haiku-4-5-20251001", "", "sk-", "~/key"],
)
def test_the_name_of_a_secret_does_not_look_secret(text: str) -> None:
    assert not looks_secret(text)


@pytest.mark.parametrize("text", ["task-management", "/home/me/disk-encryption/key", "file:~/risk-assessments"])
def test_a_word_that_ends_in_sk_does_not_look_secret(text: str) -> None:
    assert not looks_secret(text)


@pytest.mark.parametrize(
    "text", ["Xy7abcdefghi", "hunter2.hunter2.hunter2", "0a1b2c3d-4e5f-6071", " 0a1b2c3d4e5f6071 "]
)
def test_a_wrong_value_that_may_be_a_key_is_not_quoted(text: str) -> None:
    assert quoted(text) == "what may be a secret"


@pytest.mark.parametrize("value", ["minimacks", "10 parsecs and 2", "5minutes", "enviroment:NAME", 80808080808080, 1.5])
def test_another_wrong_value_is_quoted(value: object) -> None:
    assert quoted(value) == repr(value)


def test_every_secret_is_found_with_its_place_and_never_quoted() -> None:
    found = find_secrets(tree("a: sk-FAKEFAKE1\nb: {c: [x, sk-FAKEFAKE2], d: 7}\ne: [{f: 'sk-FAKEFAKE3'}]\ng: null\n"))
    assert [(complaint.place, complaint.path) for complaint in found] == [
        ("x.yaml:1:4", "a"),
        ("x.yaml:2:12", "b.c[1]"),
        ("x.yaml:3:9", "e[0].f"),
    ]
    for complaint in found:
        assert "FAKE" not in str(complaint)
        assert "env:NAME" in complaint.message


@pytest.mark.parametrize("name", ["default.yaml", "presets.yaml"])
def test_our_own_texts_are_the_same_tree_by_the_faster_reader(name: str) -> None:
    text = files("claude_proxy").joinpath(name).read_text("utf-8")
    complaints: list[Complaint] = []
    assert read_yaml(text, name, complaints, ours=True) == read_yaml(text, name, complaints)
    assert complaints == []


@pytest.mark.parametrize("text", [default_text(), "ä: 'ö' # ü\n\U0001f600: [x, {y: \U0001f600, z: 1}]\nn: !!str 1\n"])
def test_libyaml_reads_what_python_reads_with_the_same_places(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = tree(text)
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert tree(text) == fast


@pytest.mark.parametrize("depth", [60, 20_000])
def test_what_is_nested_without_end_is_told_and_ends_nothing(depth: int) -> None:
    complaints: list[Complaint] = []
    read_yaml("a: " + "[" * depth + "]" * depth, "x.yaml", complaints)
    said = [complaint.message for complaint in complaints]
    assert said == ([] if depth < 100 else ["the values are nested too deeply"])
