"""What the daemon has imported when it serves: nothing that is needed only later, or by another command."""

import re
from pathlib import Path

from tests.asking import ask
from tests.running import running

_IMPORTED = re.compile(r"^import time:.*\| +(\S+)$")

_BY_NO_OTHER = re.compile(r"^import time:.*\| \S+$")  # else it stands further to the right

LATER = {
    "aiohttp.web",
    "difflib",
    "importlib.metadata",
    "importlib.resources",
    "keyring",
    "prometheus_client",
    "tenacity",
    "xml",
    "yaml",
    "zipfile",
    "zoneinfo",
}
LATER |= {"claude_proxy.forwarding.again", "claude_proxy.observers.scrape"}
OTHERS = {"claude_proxy.demo", "claude_proxy.doctor", "claude_proxy.service", "claude_proxy.statusline"}
OTHERS |= {
    "claude_proxy.completion",
    "claude_proxy.credentials.account",
    "claude_proxy.explain",
    "claude_proxy.loopback_http",
    "claude_proxy.toggle",
}

# The rest of the environment has no YAML in it, as a user's who has set nothing.
UNSET = {"CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH": ""}


async def test_what_is_needed_later_is_not_imported_when_it_serves(tmp_path: Path) -> None:
    async with running(tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1", **UNSET}, has_file=False) as daemon:
        assert (await ask(f"{daemon.url}/health", method="GET")).status == 200
        imported = {match[1] for line in daemon.lines if (match := _IMPORTED.match(line))}
        by_no_other = {line.rpartition("| ")[2] for line in daemon.lines if _BY_NO_OTHER.match(line)}
    assert "aiohttp" in by_no_other, "from deeper down each call of its imports takes Python a piece of its stack"
    assert {"claude_proxy.web.app", "claude_proxy.ledger.sqlite_file", "sqlite3"} <= imported
    packages = {name.split(".")[0] for name in imported}
    assert not (imported | packages) & (LATER | OTHERS)
    commands = {name for name in imported if name.startswith("claude_proxy.commands.")}
    # `serve` itself comes by importlib.import_module, which this account leaves out.
    assert commands - {"claude_proxy.commands.serve"} == {"claude_proxy.commands.lazy", "claude_proxy.commands.options"}
