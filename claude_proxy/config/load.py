"""A configuration loaded: its layers laid together, read whole, and checked."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from claude_proxy.config import sections
from claude_proxy.config.egress import Ground, egress, ground
from claude_proxy.config.layers import Layers, default_path, default_text, lay
from claude_proxy.config.ledger import ledger
from claude_proxy.config.prices import prices
from claude_proxy.config.reader import Reader
from claude_proxy.config.settings import CredentialSettings, Settings, UpstreamSettings
from claude_proxy.config.tree import Node, merge
from claude_proxy.directories import PACKAGE
from claude_proxy.upstreams.transport import TransportSettings

__all__ = ["default_path", "default_text", "load"]


def load(path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings. `path` None: the default path, where a missing file means that there is none.

    `overrides` are dotted paths from the command line. Raises ConfigurationError with every fault that was found.
    """
    layers = lay(path, environment, overrides)
    settings = _settings(layers, environment)
    if layers.complaints:  # to be told with all their lines
        layers = lay(path, environment, overrides, lines=True)
        settings = _settings(layers, environment)
    layers.refuse_if_faulty()
    return settings


def _settings(layers: Layers, environment: Mapping[str, str]) -> Settings:
    root = Reader(layers.tree, "", layers.complaints)
    access = sections.access(root.section("access"), environment)
    guarded = access.trust_proxy or bool(access.enabled and access.token)
    credentials_reader = root.section("credentials")
    credentials = {
        name: sections.credential(credentials_reader.section(name), name) for name in credentials_reader.names()
    }
    transport_reader = root.section("transport")
    ways = ground(transport_reader, environment)
    transport = sections.transport(transport_reader)
    upstreams_reader = with_presets(root.section("upstreams"))
    upstreams = {
        name: _upstream(upstreams_reader.section(name), name, transport, ways, credentials, environment)
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
        file=layers.file,
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
        prices=prices(root.section("prices")),
        ledger=ledger(root.section("ledger"), environment),
    )
    root.finish()
    return settings


def _upstream(
    reader: Reader,
    name: str,
    transport: TransportSettings,
    ways: Ground,
    credentials: Mapping[str, CredentialSettings],
    environment: Mapping[str, str],
) -> UpstreamSettings:
    way_out = egress(reader, ways, environment)
    return sections.upstream(reader, name, replace(transport, egress=way_out), credentials)


def with_presets(reader: Reader) -> Reader:
    """The upstreams, each laid over the preset that it names."""
    merged: dict[str, Node] = {}
    for name in reader.names():
        node = reader.node.value[name]
        entry = reader.section(name)
        if entry.get("preset") is not None:
            known = _presets()
            preset = entry.choice("preset", known, "")
            merged[name] = merge(known[preset], node) if preset else node
        else:
            merged[name] = node
    return Reader(Node(merged, reader.node.place, reader.node.keys), reader.path, reader.complaints)


@cache
def _presets() -> dict[str, Node]:
    """Read when first one is named: the built-in configuration names none, and it takes PyYAML."""
    from claude_proxy.config.yaml_tree import read_yaml

    presets: dict[str, Node] = read_yaml(
        (PACKAGE / "presets.yaml").read_text("utf-8"), "presets.yaml", [], ours=True
    ).value
    return presets
