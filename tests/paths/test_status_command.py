"""`claude-proxy status` as a person runs it: beside a running daemon, quick, and careful with what it reads."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.claude_code import EMAIL, fresh_home
from tests.claude_request import SENTINEL, claude_headers
from tests.closed_port import refusing_url
from tests.paths.logins import say_hi, to
from tests.running import clean_environment, running
from tests.secret_service import secret_service
from tests.stand_in import StandIn

# What a command that only asks the daemon has no time for.
HEAVY = {"aiohttp", "asyncio", "keyring", "msgspec", "prometheus_client", "tenacity", "claude_proxy.config.settings"}

NAMES_OF_MODULES = (
    "import sys\nfrom pathlib import Path\nfrom claude_proxy.cli import main\ntry: main()\n"
    "finally: Path(sys.argv[-1] + '.modules').write_text(' '.join(sys.modules))"
)


def status(home: Path, port: int, *options: str, program: tuple[str, ...] = ("-m", "claude_proxy")) -> tuple[int, str]:
    """Exit code and stdout. Its configuration names the port."""
    file = home / "status.yaml"
    file.write_text(f"listen: {{ port: {port} }}\n")
    command = [sys.executable, *program, "status", *options, "--config", str(file)]
    done = subprocess.run(
        command, env=clean_environment(home), cwd=home, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


async def test_beside_a_running_daemon_it_tells_all_and_imports_little(tmp_path: Path) -> None:
    fresh_home(tmp_path / "home")
    async with StandIn() as claude, running(tmp_path / "home", to(claude)) as daemon:
        program = ("-c", NAMES_OF_MODULES)
        code, said = await asyncio.to_thread(status, tmp_path / "home", daemon.port, "--json", program=program)
        told = json.loads(said)
    assert code == 0
    assert told["daemon"]["pid"] == daemon.process.pid
    assert told["logins"][0]["account"]["email"] == EMAIL
    assert told["logins"][0]["plan"]["rate_limit_tier"] == "default_claude_max_5x"
    assert "FAKE" not in said
    loaded = set((tmp_path / "home" / "status.yaml.modules").read_text().split())
    assert "claude_proxy.health_report" in loaded
    assert not loaded & HEAVY
    assert claude.received == []


async def test_a_daemon_that_has_no_login_to_send_is_told_by_the_exit_code(tmp_path: Path) -> None:
    async with StandIn() as claude, running(tmp_path, to(claude, sources=["file"])) as daemon:
        assert (await say_hi(daemon, claude_headers({"x-api-key": SENTINEL}))).status == 403
        code, said = await asyncio.to_thread(status, tmp_path, daemon.port)
    assert code == 4
    assert "Login     none · nothing in file" in said


async def test_a_keychain_that_never_answers_holds_it_up_for_a_bounded_time_only(tmp_path: Path) -> None:
    file = tmp_path / "status.yaml"
    with refusing_url() as url:
        port = url.rpartition(":")[2]
        file.write_text(
            f"listen: {{ port: {port} }}\n"
            "credentials: { claude: { sources: [keychain, file], read_timeout: 200ms }, minimax: { sources: [] } }\n"
        )
        async with secret_service(someone_is_there=True) as keyring:
            await keyring.lock()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "claude_proxy", "status", "--json", "--config", str(file)),
                env=clean_environment(tmp_path, keyring.environment),
                stdout=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                said, _ = await process.communicate()
    assert process.returncode == 3
    login = json.loads(said)["logins"][0]
    assert login["state"] == "unusable"
    assert "no answer within 0.2 s; it may be locked" in login["detail"]
