"""Imports only go down the floors of the house, and libraries stay in their rooms."""

import ast

import pytest

from tests.house.source import Module, modules

# A module may import from its own room and from the rooms below its floor, as the plan in the README draws it.
FLOORS = [
    {"aside", "directories", "failures", "logfile", "logline", "logwriter", "loopback_http", "port_holder", "wire"},
    {"credentials", "dialects", "exchange"},
    {"ledger", "upstreams"},
    {"forwarding", "observers"},
    {"web"},
    {"bookkeeping", "config"},
    {"supplies"},
    {"allocator", "assembly", "handover", "listening", "notify", "turns"},
    {"shift", "health_report"},
    {"completion", "daemon", "explain"},
    {"demo", "service", "statusline", "toggle"},
    {"commands"},
    {"doctor"},
    {"cli"},
    {"__main__"},
]

# exchange is the noun of floor 2: it names failures and the wire only, but credentials need not know it.
LIBRARIES = {
    "aiohttp": {
        "upstreams.connection",
        "upstreams.egress",
        "upstreams.relayed",
        "upstreams.transport",
        "web",
        "daemon",
        "commands.serve",
        "demo.stage",
        "demo.stand_in",
    },
    "click": {
        "cli",
        "commands",
        "completion",
        "demo.command",
        "doctor.command",
        "service",
        "toggle.commands",
        "toggle.tell",
    },
    "keyring": {"credentials.keychain", "credentials.key_store"},
    "multidict": {"web"},
    "prometheus_client": {"observers.scrape"},
    "tenacity": {"forwarding.again"},
    "yaml": {"config", "commands.config", "web.openapi"},
    "yarl": {"upstreams.connection", "upstreams.transport"},
}


# Records are made of msgspec in every room; JSON is read with it in these.
JSON_ROOMS = {"wire", "dialects", "forwarding.commit", "ledger", "observers.recording"}
RECORDS = {"Struct", "field", "structs"}


def room(name: str) -> str:
    """The room of a module of ours; "" for the package itself, which holds only the version."""
    return [*name.split("."), ""][1]


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_imports_only_from_its_room_and_the_floors_below(module: Module) -> None:
    for imported in module.imports():
        inside = imported.split(".")[0] == "claude_proxy" and room(imported) not in {"", "__version__"}
        if inside and room(imported) != room(module.name):
            assert floor(imported) < floor(module.name), f"{module.name} imports {imported}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_library_stays_in_its_room(module: Module) -> None:
    inside = module.name.removeprefix("claude_proxy.")
    for imported in module.imports():
        rooms = LIBRARIES.get(imported.split(".")[0])
        assert rooms is None or {inside, inside.split(".")[0]} & rooms, f"{module.name} imports {imported}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_bodies_are_read_in_their_rooms(module: Module) -> None:
    inside = module.name.removeprefix("claude_proxy.")
    used = {
        node.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "msgspec"
    }
    assert used <= RECORDS or {inside, inside.split(".")[0]} & JSON_ROOMS, f"{module.name} uses msgspec.{used}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_nothing_is_imported_for_type_checkers_alone(module: Module) -> None:
    """Needing such an import is the circle."""
    names = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    assert "TYPE_CHECKING" not in names


def test_every_room_stands_on_a_floor() -> None:
    rooms = {room(module.name) for module in modules()} - {""}
    assert rooms == set().union(*FLOORS)
