"""A configuration as a tree whose every node knows its place, and what can be complained of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml


class Complaint(NamedTuple):
    """One fault: where, and what was expected."""

    place: str
    path: str
    message: str

    def __str__(self) -> str:
        line = f"{self.place} {self.path}: {self.message}" if self.path else f"{self.place} {self.message}"
        return redacted(line)  # wherever one was written: as a value, in a list, as a name


class ConfigurationError(Exception):
    """All the faults of a configuration at once."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = tuple(complaints)


@dataclass(slots=True)
class Node:
    """A value and its place (`file:line:column`, or the variable that it came from).

    `value` is a dict of nodes, a list of nodes, or a scalar.
    """

    value: Any
    place: str
    keys: dict[str, str] = field(default_factory=dict)
    """The places of a mapping's keys."""


class _Loader(yaml.SafeLoader):
    """Without aliases: one within its own anchor has no end, and a few of them make a file of any size."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not understood here", mark)
        return super().compose_node(parent, index)


_TEXT = "tag:yaml.org,2002:str"
_DEEPEST = 50  # mappings and lists within one another; a configuration has six


def read_yaml(text: str, name: str, complaints: list[Complaint], *, ours: bool = False) -> Node:
    """The tree of a YAML document; an empty mapping where it is empty or cannot be read at all.

    By libyaml where that is there, in a tenth of the time; what it might not take as we do is left to `_Loader`. A
    text of `ours` is known to be plain.
    """
    fast = getattr(yaml, "CSafeLoader", None)
    try:
        root = yaml.compose(text, Loader=fast if fast is not None and (ours or _is_plain(text, fast)) else _Loader)
        tree = Node({}, name) if root is None else _convert(root, name, "", complaints)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        complaints.append(Complaint(place, "", f"this is not valid YAML: {error.problem or error.context}"))
        return Node({}, name)
    except yaml.YAMLError as error:
        complaints.append(Complaint(name, "", f"this is not valid YAML: {error}".splitlines()[0]))
        return Node({}, name)
    except RecursionError:
        complaints.append(Complaint(name, "", "the values are nested too deeply"))
        return Node({}, name)
    if not isinstance(tree.value, dict):
        complaints.append(Complaint(tree.place, "", "expected a mapping of settings at the top"))
        return Node({}, name)
    return tree


def _is_plain(text: str, loader: Any) -> bool:
    """Whether a text has no fault, no alias, and no depth at which libyaml would run out of its stack."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST or isinstance(event, yaml.AliasEvent):
                return False
    except yaml.YAMLError:
        return False
    return True


def _convert(node: yaml.Node, name: str, path: str, complaints: list[Complaint]) -> Node:
    place = f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Node] = {}
        keys: dict[str, str] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            key_place = f"{name}:{key_node.start_mark.line + 1}:{key_node.start_mark.column + 1}"
            inner = f"{path}.{key}" if path else key
            if key in mapping:
                complaints.append(Complaint(key_place, inner, "stands twice in this mapping; keep one of them"))
            mapping[key] = _convert(value_node, name, inner, complaints)
            keys[key] = key_place
        return Node(mapping, place, keys)
    if isinstance(node, yaml.SequenceNode):
        items = [_convert(item, name, f"{path}[{index}]", complaints) for index, item in enumerate(node.value)]
        return Node(items, place)
    return Node(_scalar(node), place)


def _scalar(node: yaml.Node) -> Any:
    if node.tag == _TEXT:
        return node.value  # a loader for each takes as long as all the rest
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        return node.value
    finally:
        loader.dispose()


def merge(under: Node, over: Node) -> Node:
    """One tree laid over another: mappings are merged, everything else replaces; `null` removes a mapping."""
    if not (isinstance(under.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(under.value)
    for key, node in over.value.items():
        if key in merged and isinstance(merged[key].value, dict) and node.value is None:
            del merged[key]
        else:
            merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, over.place, {**under.keys, **over.keys})


def put(tree: Node, path: Sequence[str], value: Any, place: str) -> None:
    """Sets one value deep in the tree, making the mappings on the way."""
    for step in path[:-1]:
        if not isinstance(tree.value.get(step, Node(None, place)).value, dict):
            tree.value[step] = Node({}, place)
            tree.keys[step] = place
        tree = tree.value[step]
    tree.value[path[-1]] = Node(value, place)
    tree.keys[path[-1]] = place


_SECRET = re.compile(
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|ey[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{10,}|gh[ps]_[A-Za-z0-9]{20,}"
)


# One long word with a digit in it: some keys look like nothing else.
_MAY_BE_SECRET = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{12,}")


def redacted(text: str) -> str:
    """Text without the keys and tokens in it."""
    return _SECRET.sub("[a secret]", text)


def looks_secret(text: str) -> bool:
    """Whether a value is a key or token rather than the name of one."""
    return _SECRET.search(text) is not None


def quoted(value: object) -> str:
    """A wrong value as a complaint may repeat it: it may be a key that was written where its name belongs."""
    return "what may be a secret" if _MAY_BE_SECRET.fullmatch(str(value).strip()) else repr(value)[:60]


def find_secrets(tree: Node, path: str = "") -> list[Complaint]:
    """A complaint for each value that is a secret; the value itself is not quoted."""
    if isinstance(tree.value, dict):
        return [
            found for key, node in tree.value.items() for found in find_secrets(node, f"{path}.{key}" if path else key)
        ]
    if isinstance(tree.value, list):
        return [found for i, node in enumerate(tree.value) for found in find_secrets(node, f"{path}[{i}]")]
    if isinstance(tree.value, str) and looks_secret(tree.value):
        message = (
            "this looks like a secret, which must not stand in the file; put it into an environment variable, "
            "a file with mode 0600 or the keychain, name that here (env:NAME, file:PATH, keyring:NAME), "
            "and replace the key, since it has been written down"
        )
        return [Complaint(tree.place, path, message)]
    return []
