"""A made-up machine for the doctor: a home, a configuration, an environment; broken by a test, mended as it is told."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from claude_proxy.cli import main
from tests.running import clean_environment
from tests.stand_in import Answer, Received, Wire, says

Report = dict[str, Any]

# Only what is given is found: no keychain is read, and MiniMax has no key.
CREDENTIALS = {"claude": {"sources": ["client"]}, "minimax": {"sources": ["env:FAKE_MINIMAX_KEY"]}}

ROUTES = [
    {"model": "claude-haiku-*", "to": [{"upstream": "minimax"}, {"upstream": "claude"}]},
    {"model": "local-*", "to": [{"upstream": "local"}]},
    {"to": [{"upstream": "claude"}]},
]


def upstreams(url: str, local: str = "") -> dict[str, Any]:
    """Claude, and another for which no credential is needed."""
    return {
        "claude": {"base_url": url},
        "local": {"base_url": local or url, "dialect": "compatible", "credential": None},
    }


@contextlib.asynccontextmanager
async def speaks_first() -> AsyncIterator[str]:
    """The URL of a server that is none of HTTP or TLS: it greets whoever comes."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example greets you\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@dataclass
class Clock:
    """The clock of a stand-in: by how many seconds it is off."""

    off: float = 0.0

    def tells(self, answer: Answer | None = None) -> Answer:
        """An upstream that also answers a knock, and tells the time then."""
        otherwise = answer or says()

        async def answering(received: Received, wire: Wire) -> None:
            if received.method == "HEAD":
                date = formatdate(time.time() + self.off, usegmt=True)
                await wire.head(404, [("Date", date), ("Content-Length", "0")])
            else:
                await otherwise(received, wire)

        return answering


@dataclass
class Patient:
    """`config` is what stands in the user's own file; `env` comes on top of an environment with nothing in it."""

    home: Path
    config: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure()

    @property
    def file(self) -> Path:
        return self.home / ".config" / "claude-proxy" / "config.yaml"

    @property
    def settings(self) -> Path:
        return self.home / ".claude" / "settings.json"

    @property
    def environment(self) -> dict[str, str]:
        return clean_environment(self.home, self.env)

    def configure(self, **more: Any) -> None:
        self.write(self.file, yaml.safe_dump({"credentials": CREDENTIALS, "routes": ROUTES, **self.config, **more}))

    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    async def ask(self, *arguments: str) -> Report:
        """The doctor's report, by this process: with the environment of the patient and nothing of ours."""
        result = await self.run("doctor", "--json", *arguments)
        report: Report = json.loads(result)
        return report

    async def run(self, *arguments: str) -> str:
        """What a command prints."""
        environment = {**dict.fromkeys(os.environ), **self.environment}
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        if arguments[0] == "doctor":
            assert result.exit_code == (json.loads(result.stdout)["exit_code"] if "--json" in arguments else 0)
        else:
            assert result.exit_code == 0, result.output
        return result.stdout

    async def ask_as_process(self, before: str = "") -> Report:
        """The same by a process of its own, within `before`, a shell command that ends in `exec`-ing its arguments."""
        command = [sys.executable, "-m", "claude_proxy", "doctor", "--json"]
        done = await asyncio.to_thread(
            subprocess.run,
            ["/bin/sh", "-c", f'{before or "exec"} "$@"', "sh", *command],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        report: Report = json.loads(done.stdout)
        assert done.returncode == report["exit_code"]
        return report

    async def mend(self, command: str, given: str = "") -> None:
        """Runs a command as it was printed, in a shell; what it makes of the shell's environment stays.

        `given` is what is typed when it asks.
        """
        after = self.home / "environment"
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", f"{command}\ncode=$?\nenv -0 > {after}\nexit $code"),
            env=self.environment,
            cwd=self.home,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate(given.encode())
        assert process.returncode == 0, said.decode()
        left = dict(line.partition("=")[::2] for line in after.read_text().split("\0") if line)
        self.env = {name: value for name, value in self.env.items() if left.get(name) == value}


def first(report: Report) -> dict[str, Any]:
    """The break on top."""
    found: dict[str, Any] = report["first"]
    assert found is not None, report
    assert found["command"] or found["advice"], "it names no remedy"
    return found


def assert_well(report: Report) -> None:
    assert report["first"] is None, report["first"]
    assert report["exit_code"] == 0


def finding(report: Report, check: str, of: str | None = None) -> dict[str, Any]:
    """What one check has found."""
    found: list[dict[str, Any]] = [
        one for section in report["sections"] for one in section["checks"] if one["check"] == check and one["of"] == of
    ]
    assert len(found) == 1, found
    return found[0]


async def broken(patient: Patient, check: str, mark: str = "fail", of: str | None = None) -> dict[str, Any]:
    """The break on top, which must be this one."""
    report = await patient.ask()
    found = first(report)
    assert (found["check"], found["mark"], found["of"]) == (check, mark, of), found
    assert report["exit_code"] == {"warn": 1, "fail": 2}[mark]
    assert "FAKE-" not in json.dumps(report)
    return found


async def mended(patient: Patient, found: dict[str, Any]) -> None:
    """Runs the command that was named; then everything is well."""
    await patient.mend(found["command"])
    assert_well(await patient.ask())
