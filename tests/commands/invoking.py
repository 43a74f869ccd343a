"""The command line within the test's own process, and a configuration of little more than a port."""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from claude_proxy.cli import main


def run(*arguments: str, given: bytes = b"") -> Result:
    """What a command prints and with which code it ends; `given` stands on its stdin, which is no terminal."""
    return CliRunner().invoke(main, arguments, input=given)


async def run_beside(*arguments: str, given: bytes = b"") -> Result:
    """The same on a thread, so that a daemon in this process can answer."""
    return await asyncio.to_thread(run, *arguments, given=given)


def configured(home: Path, **settings: Any) -> str:
    """A configuration file; without a port of its own, it is one on which nobody can listen."""
    file = home / "mine.yaml"
    file.write_text(yaml.safe_dump({"listen": {"port": 0}, **settings}))
    return str(file)


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)
