"""Trees as tests write and look at them."""

from claude_proxy.config.tree import Complaint, Node
from claude_proxy.config.yaml_tree import read_yaml


def tree(text: str) -> Node:
    """The tree of a text without a fault, `x.yaml`."""
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
