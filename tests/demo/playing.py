"""The demo as a process of its own, as a user starts it: its lines kept, its directory known, and a home of a user
who has a login, a configuration and variables of his own."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.asking import Reply, ask
from tests.closed_port import refusing_url
from tests.running import clean_environment

STORED_LOGIN = "sk-ant-oat01-FAKE-stored-login"
OWN_KEY = "sk-ant-api03-FAKE-of-the-user"
HAIKU = "claude-haiku-4-5-20251001"

TOKEN = {"Authorization": "Bearer demo"}
ASKED: dict[str, Any] = {
    "model": "claude-opus-4-8",
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}

# Each would change what a daemon does that took it into account.
USERS_VARIABLES = {
    "ANTHROPIC_API_KEY": OWN_KEY,
    "AUTH_TOKEN": "FAKE-token-of-the-user",
    "CLAUDE_CODE_OAUTH_TOKEN": STORED_LOGIN,
    "CLAUDE_PROXY_DRAIN_TIMEOUT": "no duration",
    "HAIKU_PROVIDER_API_KEY": "FAKE-key-of-the-user",
    "PORT": "8082",
    "REAL_ANTHROPIC_API_KEY": OWN_KEY,
}


@dataclass
class Place:
    """A user's home, and a directory for temporary files that nobody else uses."""

    home: Path
    temporary: Path

    @classmethod
    def below(cls, path: Path) -> "Place":
        place = cls(path / "home", path / "tmp")
        place.temporary.mkdir()
        place.login.parent.mkdir(parents=True)
        place.login.write_text(f'{{"claudeAiOauth": {{"accessToken": "{STORED_LOGIN}"}}}}')
        configuration = place.home / ".config" / "claude-proxy" / "config.yaml"
        configuration.parent.mkdir(parents=True)
        configuration.write_text("nonsense: of the user's own\n")
        return place

    @property
    def login(self) -> Path:
        return self.home / ".claude" / ".credentials.json"

    def files(self) -> dict[str, bytes]:
        """Every file of the home."""
        found = sorted(path for path in self.home.rglob("*") if path.is_file())
        return {str(path.relative_to(self.home)): path.read_bytes() for path in found}

    def left_behind(self) -> list[str]:
        return [path.name for path in self.temporary.iterdir()]


@dataclass
class Demo:
    """A running demo."""

    process: asyncio.subprocess.Process
    place: Place
    lines: list[str] = field(default_factory=list)

    @property
    def printed(self) -> str:
        return "\n".join(self.lines)

    @property
    def table(self) -> list[str]:
        """What it has printed below the table's head."""
        head = next((number for number, line in enumerate(self.lines) if line.startswith("TIME ")), len(self.lines))
        return self.lines[head + 1 :]

    @property
    def command(self) -> str:
        """The line for Claude Code, as it was printed."""
        return next(line for line in self.lines if re.match(r"\s+ANTHROPIC_BASE_URL=", line))

    @property
    def url(self) -> str:
        return self.command.split()[0].partition("=")[2]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def until(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Reads on until a line matches."""
        assert self.process.stdout is not None
        for line in self.lines:
            if found := re.search(pattern, line):
                return found
        async with asyncio.timeout(seconds):
            async for raw in self.process.stdout:
                self.lines.append(raw.decode().rstrip("\n"))
                if found := re.search(pattern, self.lines[-1]):
                    return found
        raise AssertionError(f"no line matches {pattern!r} in:\n{self.printed}\n{await self._complaints()}")

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def ended(self, seconds: float = 20) -> int:
        """The exit code, once it has ended, having complained of nothing."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            async for raw in self.process.stdout:
                self.lines.append(raw.decode().rstrip("\n"))
            complaints = await self._complaints()
            code = await self.process.wait()
        assert (code, complaints) == (code, "")
        return code

    async def _complaints(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


async def asked(demo: Demo, body: Any, headers: Mapping[str, str] = TOKEN) -> Reply:
    """What the demo's daemon answers to a Messages request."""
    return await ask(f"{demo.url}/v1/messages?beta=true", body, headers)


@contextlib.asynccontextmanager
async def playing(
    place: Place, *arguments: str, program: tuple[str, ...] = ("-m", "claude_proxy", "demo"), wait: bool = True
) -> AsyncIterator[Demo]:
    """Starts the demo; kills it in the end where it is still there. Every other host lies behind a dead proxy."""
    with refusing_url() as nowhere:
        variables = {**USERS_VARIABLES, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, *arguments),
            env=clean_environment(place.home, {**variables, "TMPDIR": str(place.temporary)}),
            cwd=place.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        demo = Demo(process, place)
        try:
            if wait:
                await demo.until("^TIME ")
            yield demo
        finally:
            demo.signal(signal.SIGKILL)
            await process.communicate()
