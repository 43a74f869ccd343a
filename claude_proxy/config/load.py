"""A configuration loaded: the built-in one, the user's file over it, the environment over both."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from platformdirs.unix import Unix

from claude_proxy.config import sections
from claude_proxy.config.environment import overlay
from claude_proxy.config.reader import Reader
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import Complaint, ConfigurationError, Node, find_secrets, merge, put, read_yaml

_DIGITS = re.compile(r"\d+")


def default_path() -> Path:
    """Where the user's file lies: ~/.config/claude-proxy/config.yaml, on macOS too; XDG_CONFIG_HOME is honoured."""
    return Unix("claude-proxy").user_config_path / "config.yaml"


def default_text() -> str:
    """The built-in configuration, which is also the manual."""
    return files("claude_proxy").joinpath("default.yaml").read_text("utf-8")


def load(path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings. `path` None: the default path, where a missing file means that there is none.

    `overrides` are dotted paths from the command line. Raises ConfigurationError with every fault that was found.
    """
    complaints: list[Complaint] = []
    secrets: set[str] = set()
    tree = read_yaml(default_text(), "default.yaml", complaints)
    own = default_path() if path is None else path
    text = _read_file(own, complaints, required=path is not None)
    if text is not None:
        written = read_yaml(text, str(own), complaints)
        found = find_secrets(written)
        secrets.update(complaint.path for complaint in found)
        complaints += found
        tree = merge(tree, written)
    tree = merge(tree, overlay(environment, complaints))
    for dotted, value in (overrides or {}).items():
        put(tree, dotted.split("."), value, "the command line")
    settings = _settings(tree, own if text is not None else None, environment, complaints)
    if complaints:
        raise ConfigurationError(_in_order(complaints, secrets))
    return settings


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


def _in_order(complaints: list[Complaint], secrets: set[str]) -> list[Complaint]:
    """As they stand in the file, each once; of a setting whose value is a secret only that is said."""
    first: dict[tuple[str, str], Complaint] = {}
    for complaint in complaints:
        first.setdefault((complaint.path, "" if complaint.path in secrets else complaint.message), complaint)
    return sorted(first.values(), key=lambda complaint: _DIGITS.sub(lambda run: run[0].zfill(6), complaint.place))


def _settings(tree: Node, file: Path | None, environment: Mapping[str, str], complaints: list[Complaint]) -> Settings:
    root = Reader(tree, "", complaints)
    access = sections.access(root.section("access"), environment)
    guarded = access.trust_proxy or bool(access.enabled and access.token)
    credentials_reader = root.section("credentials")
    credentials = {
        name: sections.credential(credentials_reader.section(name), name) for name in credentials_reader.names()
    }
    transport = sections.transport(root.section("transport"))
    upstreams_reader = _with_presets(root.section("upstreams"))
    upstreams = {
        name: sections.upstream(upstreams_reader.section(name), name, transport, credentials)
        for name in upstreams_reader.names()
    }
    for names in (credentials_reader, upstreams_reader):
        for name in names.names():
            sections.name_complaint(names, name)
    routes = tuple(sections.route(reader, upstreams) for reader in root.items("routes"))
    if not routes or str(routes[-1].match) != "everything":
        root.complain("routes", "the last route must match everything: { to: [{ upstream: claude }] }")
    models_reader = root.section("models")
    settings = Settings(
        file=file,
        listen=sections.listen(root.section("listen"), may_leave_loopback=guarded),
        drain_timeout=root.duration("drain_timeout"),
        log=sections.log(root.section("log")),
        access=access,
        limits=sections.limits(root.section("limits")),
        credentials=credentials,
        sentinels=frozenset(root.texts("sentinels")),
        upstreams=upstreams,
        routes=routes,
        retry=sections.retry(root.section("retry")),
        breaker=sections.breaker(root.section("breaker")),
        models={name: models_reader.text(name, name) for name in models_reader.names()},
    )
    root.finish()
    return settings


def _with_presets(reader: Reader) -> Reader:
    """The upstreams, each laid over the preset that it names."""
    presets = read_yaml(files("claude_proxy").joinpath("presets.yaml").read_text("utf-8"), "presets.yaml", [])
    merged: dict[str, Node] = {}
    for name in reader.names():
        node = reader.node.value[name]
        entry = reader.section(name)
        preset = entry.choice("preset", presets.value, "") if entry.get("preset") is not None else ""
        merged[name] = merge(presets.value[preset], node) if preset else node
    return Reader(Node(merged, reader.node.place, reader.node.keys), reader.path, reader.complaints)
