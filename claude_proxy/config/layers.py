"""The layers of a configuration laid together: the built-in one, the user's file, the environment, the command line."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_proxy.config.environment import PREFIX, overlay
from claude_proxy.config.older_names import ledger_url
from claude_proxy.config.tree import Complaint, ConfigurationError, Node, find_secrets, merge, nodes, put
from claude_proxy.directories import PACKAGE, our_config

_DIGITS = re.compile(r"\d+")


def default_path() -> Path:
    """Where the user's file lies: ~/.config/claude-proxy/config.yaml, on macOS too; XDG_CONFIG_HOME is honoured."""
    return our_config() / "config.yaml"


def default_text() -> str:
    """The built-in configuration, which is also the manual."""
    return (PACKAGE / "default.yaml").read_text("utf-8")


def built_in(*, lines: bool) -> Node:
    """The lowest layer. Without `lines` the place of all of it is just `default.yaml`, and PyYAML is not needed.

    The values alone stand in default.json, which `scripts/defaults` writes.
    """
    if lines:
        return _read_yaml(default_text(), "default.yaml", [], ours=True)
    values = json.loads((PACKAGE / "default.json").read_bytes())
    return Node(nodes(values, "default.yaml"), "default.yaml")


class Layers(NamedTuple):
    """One tree of all settings, `file` being the user's own where there is one, and what was wrong so far."""

    tree: Node
    file: Path | None
    complaints: list[Complaint]
    secrets: set[str]
    """The paths of values that are secrets."""

    def refuse_if_faulty(self) -> None:
        """Raises ConfigurationError with all complaints, as they stand in the file and each once; of a setting
        whose value is a secret only that is said."""
        if not self.complaints:
            return
        first: dict[tuple[str, str], Complaint] = {}
        for complaint in self.complaints:
            first.setdefault((complaint.path, "" if complaint.path in self.secrets else complaint.message), complaint)
        raise ConfigurationError(
            sorted(first.values(), key=lambda complaint: _DIGITS.sub(lambda run: run[0].zfill(6), complaint.place))
        )


def lay(
    path: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    *,
    lines: bool = False,
) -> Layers:
    """The layers. `path` None: the default path, where a missing file means that there is none.

    `lines`: whether what is built in is told with its lines, which takes longer; the user's own always is.
    """
    complaints: list[Complaint] = []
    secrets: set[str] = set()
    tree = built_in(lines=lines)
    own = default_path() if path is None else path
    text = _read_file(own, complaints, required=path is not None)
    if text is not None:
        written = _read_yaml(text, str(own), complaints)
        found = find_secrets(written)
        secrets.update(complaint.path for complaint in found)
        complaints += found
        tree = merge(tree, written)
    tree = merge(tree, _older_ledger(tree, environment, complaints))
    tree = merge(tree, overlay(environment, complaints))
    for dotted, value in (overrides or {}).items():
        put(tree, dotted.split("."), value, "the command line")
    return Layers(tree, own if text is not None else None, complaints, secrets)


def _older_ledger(tree: Node, environment: Mapping[str, str], complaints: list[Complaint]) -> Node:
    """Where records are kept, by the names that older proxies use; our own name goes before them."""
    older = Node({}, "the environment")
    if "ledger" in tree.value and not environment.get(f"{PREFIX}LEDGER__URL", "").strip():
        found = ledger_url(environment, complaints)
        if found is not None:
            put(older, ["ledger", "url"], found[1], f"variable {found[0]}")
    return older


def _read_yaml(text: str, name: str, complaints: list[Complaint], *, ours: bool = False) -> Node:
    # Imported only where there is something to read: PyYAML takes a tenth of the daemon's start.
    from claude_proxy.config.yaml_tree import read_yaml

    return read_yaml(text, name, complaints, ours=ours)


def _read_file(path: Path, complaints: list[Complaint], *, required: bool) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        if required:
            complaints.append(Complaint(str(path), "", "does not exist; `claude-proxy init` writes one"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        complaints.append(Complaint(str(path), "", f"cannot be read: {reason}"))
    return None
