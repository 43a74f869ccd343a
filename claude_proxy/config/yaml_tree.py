"""YAML read into a tree: every value and every key with its line and column.

The only file of this room that leads to PyYAML at once, which takes a tenth of the daemon's start: it is imported
where there is YAML to read.
"""

from typing import Any

import yaml

from claude_proxy.config.tree import Complaint, Node


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
