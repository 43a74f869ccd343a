"""A configuration as a tree whose every node knows its place, and what can be complained of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


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


def nodes(value: object, place: str) -> Any:
    """What a `Node` of this value holds: mappings and lists with nodes in them, all of one place; a scalar as it is."""
    if isinstance(value, dict):
        return {str(key): Node(nodes(inner, place), place) for key, inner in value.items()}
    if isinstance(value, list):
        return [Node(nodes(inner, place), place) for inner in value]
    return value


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
