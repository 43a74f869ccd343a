"""Host and port out of the configuration, and nothing else of it; a broken one gives the defaults and a complaint."""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.config.environment import overlay
from claude_proxy.config.reader import Reader
from claude_proxy.config.tree import Complaint, Node, merge
from claude_proxy.config.yaml_tree import read_yaml


def read_listen(
    file: Path, environment: Mapping[str, str], host: str, port: int, *, required: bool
) -> tuple[str, int, str]:
    """Host, port, and what was wrong with the file or the variables ("" for nothing). The port may be 0."""
    complaints: list[Complaint] = []
    tree = _tree(file, complaints, required=required)
    others: list[Complaint] = []  # of variables that say nothing of the address
    tree = merge(tree, overlay(environment, others))
    reader = Reader(tree, "", complaints).section("listen")
    settings = (reader.text("host", host), reader.integer("port", 0, 65535, port))
    complaints += [complaint for complaint in others if complaint.path.startswith("listen")]
    if complaints:
        return host, port, str(complaints[0])
    complaint = (
        "listen.port is 0, any free one: which one it is only the daemon's log tells" if settings[1] == 0 else ""
    )
    return *settings, complaint


def _tree(file: Path, complaints: list[Complaint], *, required: bool) -> Node:
    try:
        return read_yaml(file.read_text("utf-8"), str(file), complaints)
    except FileNotFoundError:
        if required:
            complaints.append(Complaint(str(file), "", "does not exist"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        complaints.append(Complaint(str(file), "", f"cannot be read: {reason}"))
    return Node({}, str(file))
