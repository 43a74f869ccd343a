"""YAML read into a tree: types, places, and every way in which a text can be no configuration."""

from importlib.resources import files

import pytest
import yaml

from claude_proxy.config.layers import default_text
from claude_proxy.config.tree import Complaint
from claude_proxy.config.yaml_tree import read_yaml
from tests.config.trees import plain, tree


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
