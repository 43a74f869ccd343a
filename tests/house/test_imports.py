"""Where things may be imported: aiohttp's two faces in their own rooms, and nothing within a function but by need."""

import ast

import pytest

from tests.house.source import Module, modules

SERVER_ROOMS = {"web", "daemon", "demo.stage", "demo.stand_in"}
CLIENT_ROOMS = {"upstreams.connection"}

# The client's half of aiohttp; what both halves share stands in neither set.
CLIENT_NAMES = {
    "ClientSession",
    "ClientRequest",
    "ClientTimeout",
    "ClientResponse",
    "TCPConnector",
    "DummyCookieJar",
    "request",
}
SERVER_NAMES = {"web", "web_protocol", "web_request", "web_response", "web_runner", "web_server"}

# keyring costs 60 ms and 25 MB, and most users never need it; aiohttp must find a cleaned environment. What leads to
# the settings of every room costs 300 ms, asyncio 20, YAML 20: a command that only asks the daemon has 100 in all.
# The daemon's start leaves out what no first request needs: a scrape's library, the retry loop, near words, time zones,
# and YAML, which only a file of the user's own needs.
WITHIN_FUNCTIONS = {
    "assembly": {"claude_proxy.observers"},
    "config.environment": {"yaml"},
    "config.layers": {"claude_proxy.config.yaml_tree"},
    "config.load": {"claude_proxy.config.yaml_tree"},
    "config.reader": {"difflib"},
    "forwarding.retry": {"claude_proxy.forwarding.again"},
    "web.openapi": {"yaml"},
    "web.stats": {"zoneinfo"},
    "credentials.keychain": {"keyring", "keyring.errors"},
    "credentials.key_store": {"keyring", "keyring.errors"},
    "commands.check": {"claude_proxy.config.load", "claude_proxy.config.older_names"},
    "commands.config": {
        "claude_proxy.config.effective",
        "claude_proxy.config.layers",
        "claude_proxy.config.load",
        "yaml",
    },
    "commands.explain": {"claude_proxy.config.load", "claude_proxy.explain", "claude_proxy.ledger.store"},
    "commands.key": {
        "claude_proxy.commands.key_list",
        "claude_proxy.credentials.credential",
        "claude_proxy.credentials.key_store",
    },
    "commands.ledger": {"claude_proxy.commands"},
    "commands.login": {"claude_proxy.commands.hand_over"},
    "commands.options": {"claude_proxy.config.tree"},
    "commands.paths": {"claude_proxy.config.layers"},
    "commands.serve": {"aiohttp", "claude_proxy.config.load", "claude_proxy.daemon", "claude_proxy.ledger.holder"},
    "commands.prices": {
        "claude_proxy.assembly",
        "claude_proxy.commands.prices_text",
        "claude_proxy.config.load",
        "claude_proxy.ledger.prices",
    },
    "commands.status": {
        "claude_proxy.commands.keychain_plan",
        "claude_proxy.commands.own_look",
        "claude_proxy.commands.probe",
        "claude_proxy.config.load",
    },
    "commands.log_place": {"claude_proxy.config.address", "claude_proxy.health_report"},
    "commands.uninstall": {"claude_proxy.credentials.key_store"},
    "config.address": {"claude_proxy.config.layers", "claude_proxy.config.reader"},
    "commands.usage": {"claude_proxy.commands.usage_report"},
    "demo.command": {"claude_proxy.demo.stage"},
    "doctor.command": {
        "claude_proxy.doctor.checkup",
        "claude_proxy.doctor.report_text",
        "claude_proxy.doctor.whole_case",
    },
    "service.commands": {"claude_proxy.config.load", "claude_proxy.config.tree"},
    "toggle.haiku": {"subprocess"},
    "toggle.sessions": {"subprocess"},
    "toggle.address": {"claude_proxy.toggle.listen"},
    "statusline.command": {"subprocess"},
    "__main__": {"claude_proxy.cli", "claude_proxy.statusline.command"},
}

INSIDE = "claude_proxy."


def used_of_aiohttp(module: Module) -> set[str]:
    """The names of aiohttp that this module imports, or reaches through `aiohttp.`."""
    names = set()
    for imported in module.imports():
        if imported.startswith("aiohttp."):
            names.add(imported.split(".")[1])
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "aiohttp":
            names.add(node.attr)
    return names


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_the_server_stays_in_the_web_and_the_client_in_its_connection(module: Module) -> None:
    inside = module.name.removeprefix(INSIDE)
    used = used_of_aiohttp(module)
    if not {inside, inside.split(".")[0]} & SERVER_ROOMS:
        assert not used & SERVER_NAMES, f"{module.name} serves"
    if inside not in CLIENT_ROOMS:
        assert not used & CLIENT_NAMES, f"{module.name} calls"


def test_those_rooms_do_use_it() -> None:
    used = {module.name.removeprefix(INSIDE): used_of_aiohttp(module) for module in modules()}
    assert used["upstreams.connection"] & CLIENT_NAMES
    assert used["web.app"] & SERVER_NAMES


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_what_is_imported_within_a_function_has_its_reason(module: Module) -> None:
    at_the_top = {id(node) for node in module.tree.body}
    found: set[str | None] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in at_the_top:
            found |= {node.module} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
    allowed = WITHIN_FUNCTIONS.get(module.name.removeprefix(INSIDE), set())
    libraries = {name for name in found if name and name.split(".")[0] in {"brotli", "zstandard"}}  # may be missing
    assert found - libraries <= allowed


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_importing_does_nothing(module: Module) -> None:
    """At the top stand definitions, constants and imports; a call makes a value and has no effect."""
    for node in module.tree.body:
        effect = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        loop = isinstance(node, (ast.For, ast.While, ast.With, ast.AsyncFor, ast.AsyncWith))
        assert not effect, f"{module.name}:{node.lineno} does something when it is imported"
        assert not loop, f"{module.name}:{node.lineno} does something when it is imported"
