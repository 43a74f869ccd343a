"""The tree of a configuration: every node knows its place, trees are laid over each other, secrets are found."""

import pytest

from claude_proxy.config.tree import (
    Complaint,
    ConfigurationError,
    Node,
    find_secrets,
    looks_secret,
    merge,
    nodes,
    put,
    quoted,
)
from claude_proxy.config.yaml_tree import read_yaml
from tests.config.trees import plain, tree


def test_a_complaint_names_place_path_and_message() -> None:
    assert str(Complaint("x.yaml:1:2", "a.b", "expected c")) == "x.yaml:1:2 a.b: expected c"
    assert str(Complaint("x.yaml", "", "cannot be read")) == "x.yaml cannot be read"


def test_an_error_holds_every_complaint() -> None:
    complaints = [Complaint("x:1:1", "a", "one"), Complaint("x:2:1", "b", "two")]
    error = ConfigurationError(complaints)
    assert error.complaints == tuple(complaints)
    assert str(error) == "x:1:1 a: one\nx:2:1 b: two"


def test_a_value_becomes_nodes_of_one_place() -> None:
    made = Node(nodes({"a": {1: [2, {"b": None}]}, "c": "d"}, "x.json"), "x.json")
    assert plain(made) == {"a": {"1": [2, {"b": None}]}, "c": "d"}
    inner = made.value["a"].value["1"].value[1]
    assert (inner.place, inner.value["b"].place, made.value["c"].place) == ("x.json", "x.json", "x.json")


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
