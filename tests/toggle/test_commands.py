"""The command line of the switch: `disable`, `status`, and what all commands have in common."""

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from claude_proxy import __version__
from claude_proxy.toggle.settings_text import BASE_URL, TOOL_SEARCH
from claude_proxy.toggle.switch import Via
from tests.closed_port import refusing_url
from tests.in_process import InProcess, in_process
from tests.running import clean_environment
from tests.toggle.running_it import PROGRAM, proxy_toggle
from tests.toggle.user import URL, User


def daemon_of(tmp_path: Path, env: dict[str, str] | None = None, **config: Any) -> Any:
    (tmp_path / "daemon").mkdir(exist_ok=True)
    return in_process(tmp_path / "daemon", config, env)


# --- disable -------------------------------------------------------------------------------------------


async def test_disable_needs_neither_daemon_nor_configuration_nor_receipt(user: User, tmp_path: Path) -> None:
    user.write(".claude/settings.json", '{"env": {"A": "b"}}')
    async with daemon_of(tmp_path) as daemon:
        user.write(".config/claude-proxy/config.yaml", f"listen: {{ port: {daemon.port} }}\n")
        await proxy_toggle(user, "enable")
    user.write(".config/claude-proxy/config.yaml", "listen: [\n")
    ran = await proxy_toggle(user, "disable")
    assert ran.code == 0
    assert ran.lines[:2] == [
        "✓ ~/.claude/settings.json  env.ANTHROPIC_BASE_URL removed",
        "✓ ~/.claude/settings.json  env.ENABLE_TOOL_SEARCH removed",
    ]
    assert ran.lines[2].startswith("  New `claude` sessions do without the proxy")
    assert user.settings.read_text() == '{"env": {"A": "b"}}'
    user.enable()
    user.places.receipt.unlink()
    assert (await proxy_toggle(user, "disable")).code == 0
    assert BASE_URL not in user.env


async def test_disable_a_second_time(user: User) -> None:
    user.enable()
    assert (await proxy_toggle(user, "disable")).code == 0
    ran = await proxy_toggle(user, "disable")
    assert (ran.code, ran.out, ran.err) == (0, "Routing is off already; nothing to undo.\n", "")


async def test_disable_tells_what_it_kept(user: User) -> None:
    user.enable()
    user.settings.write_text(user.settings.read_text().replace('"true"', '"false"'))
    ran = await proxy_toggle(user, "disable")
    assert ran.lines[1] == "· ~/.claude/settings.json  env.ENABLE_TOOL_SEARCH = false   (changed by you, kept)"
    assert user.env == {TOOL_SEARCH: "false"}


async def test_disable_tells_what_still_leads_here(user: User) -> None:
    user.enable()
    ran = await proxy_toggle(user, "disable", **{BASE_URL: URL})
    assert ran.err == f"! this shell still has {BASE_URL} = {URL}: unset {BASE_URL}, or open a new shell\n"
    user.enable(url="http://127.0.0.1:9001")
    user.places.receipt.unlink()
    ran = await proxy_toggle(user, "disable")
    assert "If it is one: proxy-toggle disable --url http://127.0.0.1:9001" in ran.err
    ran = await proxy_toggle(user, "disable", "--url", "http://127.0.0.1:9001")
    assert (ran.code, ran.err) == (0, "")
    assert BASE_URL not in user.env


async def test_disable_fails_where_something_could_not_be_restored(user: User) -> None:
    user.enable()
    user.settings.write_text(user.settings.read_text() + "}")
    ran = await proxy_toggle(user, "disable")
    assert ran.code == 1
    assert re.match(
        r"proxy-toggle: .*/settings\.json:7:1: something follows after the end; nothing was changed", ran.err
    )


# --- status --------------------------------------------------------------------------------------------


async def test_status_while_it_is_up(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        user.enable(url=daemon.url)
        ran = await proxy_toggle(user, "status")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0] == "Routing   on   via ~/.claude/settings.json"
    up = rf"Daemon    up   pid \d+ · \d+ s(?: · \d+ MB)? · 127\.0\.0\.1:{daemon.port} · 0 in flight"
    assert re.fullmatch(up, ran.lines[1]), ran.lines[1]
    assert ran.lines[2] == "Claude    ok   your own login, passed through"


async def test_status_while_routing_is_on_and_nobody_answers(user: User) -> None:
    with refusing_url() as url:
        user.enable(url=url)
        ran = await proxy_toggle(user, "status")
        assert ran.code == 3
        where = url.removeprefix("http://")
        assert ran.lines[0] == (
            f"Routing on, but nothing answers on {where}: claude will hang. "
            "Start: claude-proxy service start · or go direct: proxy-toggle disable"
        )
        told = json.loads((await proxy_toggle(user, "status", "--json")).out)
        assert (told["routing"]["on"], told["daemon"]["up"], told["exit_code"]) == (True, False, 3)


async def test_status_while_it_ends(user: User, tmp_path: Path) -> None:
    async with daemon_of(tmp_path) as daemon:
        assert isinstance(daemon, InProcess)
        user.enable(url=daemon.url)
        daemon.house.drain.begin()
        assert (await proxy_toggle(user, "status")).code == 1


async def test_status_with_a_broken_configuration(user: User) -> None:
    user.write(".config/claude-proxy/config.yaml", "listen: [\n")
    ran = await proxy_toggle(user, "status")
    assert ran.code in {0, 1, 3}
    assert "this is not valid YAML" in ran.lines[-1]


# --- the rest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("enable", "--force"), ("enable", "--via", "shell", "--force"), ("disable",), ("status",)]
)
@pytest.mark.parametrize("config", [None, "listen: { host: localhost }\n"])
def test_nothing_heavy_is_imported(user: User, arguments: tuple[str, ...], config: str | None) -> None:
    if config is not None:
        user.write(".config/claude-proxy/config.yaml", config)
    user.write(".zshrc", "")
    user.enable(Via.SETTINGS)
    heavy = ("aiohttp", "asyncio", "keyring", "rich", "msgspec", "prometheus_client", "tenacity")
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('heavy', sorted({heavy!r} & sys.modules.keys()), 'yaml' in sys.modules))\n"
        f"{PROGRAM}"
    ).replace(f"{heavy!r} &", f"set({heavy!r}) &")
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**clean_environment(user.home), **user.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == f"heavy [] {config is not None}", done.stderr


def test_it_is_installed_under_its_name() -> None:
    (program,) = entry_points(group="console_scripts", name="proxy-toggle")
    assert program.value == "claude_proxy.toggle.commands:main"


@pytest.mark.parametrize("command", [(), ("enable",), ("disable",), ("status",)])
async def test_help_gives_examples_and_exit_codes(user: User, command: tuple[str, ...]) -> None:
    ran = await proxy_toggle(user, *command, "-h")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"proxy-toggle {command[0] if command else 'enable'}" in ran.out
    assert not command or "Exit codes: 0" in ran.out


async def test_what_the_system_refuses_is_told_in_a_line(user: User) -> None:
    long = "x" * 300  # no name of a file may be so long
    ran = await proxy_toggle(user, "enable", "--force", CLAUDE_CONFIG_DIR=f"/{long}")
    assert ran.code == 1
    assert "proxy-toggle: " in ran.err
    assert "File name too long" in ran.err
    assert "Traceback" not in ran.err


async def test_a_wrong_word_is_an_error_of_usage(user: User) -> None:
    assert (await proxy_toggle(user, "enabel")).code == 2
    assert (await proxy_toggle(user, "enable", "--via", "letter")).code == 2
    assert (await proxy_toggle(user, "--version")).out == f"proxy-toggle, version {__version__}\n"
