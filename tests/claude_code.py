"""The real Claude Code as a test runs it: headless, in a throw-away home with a made-up login, offline.

What the client draws at random once per home or session is fixed here (session, device and account id), so
that two runs in equal homes send equal requests. What still varies stands in `tests/claude_comparison.py`.

Every other host that the client wants to talk to (feature flags, telemetry, renewing the login) lies behind
a proxy that refuses the connection: nothing leaves the machine and nothing waits. The variable
CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC would do that too, but it makes the requests to the API smaller than
a user's. What is lost is the warm-up `HEAD /`, which the client sends only where no proxy is set.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ACCESS_TOKEN = "sk-ant-oat01-FAKE-client-login"
RENEWED_ACCESS_TOKEN = "sk-ant-oat01-FAKE-renewed-login"
REFRESH_TOKEN = "sk-ant-ort01-FAKE-client-refresh"
SESSION_ID = "5e551011-0000-4000-8000-000000000001"
DEVICE_ID = "de71ce" + "0" * 58
ACCOUNT_ID = "acc00417-0000-4000-8000-000000000002"
ORGANISATION_ID = "03941154-0000-4000-8000-000000000003"
EMAIL = "tester@mailbox.invalid"

NEVER_EXPIRES = 4_102_444_800_000  # the year 2100, in milliseconds


@dataclass(frozen=True)
class Run:
    """What one run of the client left behind."""

    exit_code: int
    stdout: str
    stderr: str


def working_directory(home: Path) -> Path:
    return home / "work"


def write_login(home: Path, access_token: str = ACCESS_TOKEN) -> None:
    """Stores a login where the client looks for its own."""
    login = {
        "accessToken": access_token,
        "refreshToken": REFRESH_TOKEN,
        "expiresAt": NEVER_EXPIRES,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_5x",
    }
    path = home / ".claude" / ".credentials.json"
    path.write_text(json.dumps({"claudeAiOauth": login}))
    path.chmod(0o600)


def fresh_home(home: Path) -> None:
    """A home that holds a login and nothing else; what an earlier run left there is removed."""
    if home.exists():
        shutil.rmtree(home)
    for directory in (home / ".claude", home / "tmp", working_directory(home)):
        directory.mkdir(parents=True)
    write_login(home)
    account = {"accountUuid": ACCOUNT_ID, "organizationUuid": ORGANISATION_ID, "emailAddress": EMAIL}
    state = {"hasCompletedOnboarding": True, "userID": DEVICE_ID, "oauthAccount": account}
    (home / ".claude.json").write_text(json.dumps(state))


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A loopback port that refuses every connection: bound, so that nobody gets it, and never listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


async def run_claude(
    program: str,
    home: Path,
    base_url: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> Run:
    """Runs `claude` with these arguments in a home made anew, the API being at `base_url`."""
    fresh_home(home)
    command = (program, "--session-id", SESSION_ID, *arguments)
    return await run_at_home(home, *command, env={"ANTHROPIC_BASE_URL": base_url, **(env or {})}, seconds=seconds)


async def run_at_home(home: Path, *command: str, env: Mapping[str, str] | None = None, seconds: float = 60) -> Run:
    """Runs the client, or a shell that starts it, in a home as it is; nothing but `env` says where the API is."""
    with refusing_port() as nowhere:
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "TMPDIR": str(home / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "USER": "tester",
            "CLAUDE_CODE_MAX_RETRIES": "2",
            "DISABLE_AUTOUPDATER": "1",
            "HTTP_PROXY": f"http://127.0.0.1:{nowhere}",
            "HTTPS_PROXY": f"http://127.0.0.1:{nowhere}",
            "NO_PROXY": "127.0.0.1",
            **(env or {}),
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=working_directory(home),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                stdout, stderr = await process.communicate()
        finally:
            # Its own session: what a tool of the client started ends with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return Run(process.returncode, stdout.decode(), stderr.decode())
