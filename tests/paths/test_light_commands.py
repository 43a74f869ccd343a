"""Commands that only ask the daemon, or nobody, import little: each library here would cost more than all the rest."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.claude_code import fresh_home
from tests.running import clean_environment, running

HEAVY = {
    *("aiohttp", "asyncio", "keyring", "msgspec", "prometheus_client", "tenacity", "claude_proxy.config.settings"),
    *("http.client", "ssl", "subprocess", "logging", "importlib.resources", "importlib.metadata"),
}
PROXY = "from claude_proxy.__main__ import main"
TOGGLE = "from claude_proxy.toggle.commands import main"
NAMES_OF_MODULES = (
    "import sys; from pathlib import Path; {}\ntry: main()\n"
    "finally: Path('modules').write_text(' '.join(sorted(sys.modules)))"
)
COMMANDS = [
    (PROXY, ("--version",), 0),
    (PROXY, ("status",), 0),
    (PROXY, ("status", "--json"), 0),
    (PROXY, ("paths", "config"), 0),
    (PROXY, ("env",), 0),
    (PROXY, ("env", "--unset"), 0),
    (PROXY, ("run", "--", "no-such-program"), 127),
    (PROXY, ("help", "exit-codes"), 0),
    (TOGGLE, ("status",), 0),
    (TOGGLE, ("status", "--json"), 0),
]


def loaded(home: Path, program: str, arguments: Sequence[str], port: int) -> tuple[int, set[str]]:
    """The exit code, and what was imported by then."""
    environment = clean_environment(home, {"CLAUDE_PROXY_LISTEN__PORT": str(port)})
    command = [sys.executable, "-c", NAMES_OF_MODULES.format(program), *arguments]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, set((home / "modules").read_text().split())


async def test_light_commands_import_little(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fresh_home(home)
    # Else `env` and `run` look into the keychain, as `enable` does, with a process of its own.
    config = {"credentials": {"minimax": {"sources": ["env:HAIKU_PROVIDER_API_KEY"]}}}
    async with running(home, config) as daemon:
        for program, arguments, expected in COMMANDS:
            code, found = await asyncio.to_thread(loaded, home, program, arguments, daemon.port)
            assert code == expected, arguments
            assert "click" in found
            assert not found & HEAVY, arguments
