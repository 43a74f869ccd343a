"""The daemon as a process of its own, as a user runs it: its own HOME, its own configuration, its log kept."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment with nothing of the developer's own: no credentials, no proxies, no session bus."""
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "USER": "tester",
        # A test must not reach a real keyring by accident; those that mean to say so.
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        # Nor may it run the developer's own Claude Code.
        "CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH": "never",
        "PYTHONWARNINGS": "error",
    }
    environment.update(extra or {})
    return environment


_RELOAD = re.compile(r'event"?[=:] ?"?reload')  # in either format of the log


class Daemon:
    """A running `claude-proxy serve`."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path) -> None:
        self.process = process
        self.home = home
        self.url = ""
        self.port = 0
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read_log())

    @property
    def log(self) -> str:
        """Everything that it has written to stderr so far."""
        return "\n".join(self.lines)

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self.lines.append("(end of log)")
            self._news.notify_all()

    async def logged(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Waits for a log line that matches and returns the match."""

        def find() -> re.Match[str] | None:
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        async with self._news:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait_for(lambda: find() or "(end of log)" in self.lines[-1:])
            except TimeoutError:
                raise AssertionError(f"no log line matches {pattern!r} in:\n{self.log}") from None
        found = find()
        assert found, f"the daemon ended without a log line {pattern!r}:\n{self.log}"
        return found

    def signal(self, number: int) -> None:
        # Not through Popen: it would reap a process that has just ended, and its exit code would be lost.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def reload(self) -> None:
        """Has it read its configuration again; returns once it has said what it makes of it."""
        before = len(self.lines)
        self.signal(signal.SIGHUP)
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: any(_RELOAD.search(line) for line in self.lines[before:]))

    async def ended(self, seconds: float = 20) -> int:
        """The exit code, once it has ended."""
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            await self._reading
        return code

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.ended()


@contextlib.asynccontextmanager
async def running(
    home: Path,
    config: Mapping[str, Any] | str | None = None,
    env: Mapping[str, str] | None = None,
    *arguments: str,
    wait: bool = True,
    has_file: bool = True,
) -> AsyncIterator[Daemon]:
    """Starts the daemon on a free port of 127.0.0.1 and stops it in the end, killing it where it does not go.

    `config` is a mapping or YAML text; without a `listen` of its own the port is a free one. Without `has_file` it
    is started as by a user who has written none.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / "config.yaml"
    if isinstance(config, str):
        path.write_text(config)
    else:
        path.write_text(yaml.safe_dump({"listen": {"host": "127.0.0.1", "port": 0}, **(config or {})}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "claude_proxy", "serve", *(("--config", str(path)) if has_file else ("--port", "0")), *arguments),
        env=clean_environment(home, env),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    daemon = Daemon(process, home)
    try:
        if wait:
            daemon.url = (await daemon.logged(r"event=listening .*url=(\S+)"))[1]
            daemon.port = int(daemon.url.rpartition(":")[2])
        yield daemon
    finally:
        try:
            await daemon.stop()
        except TimeoutError:
            process.kill()
            await daemon.ended()


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for a condition that nothing announces; asks again every 10 ms."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
