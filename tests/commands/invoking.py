"""The command line within the test's own process, and a configuration of little more than a port."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from claude_proxy.cli import main

FIVE_FAULTS = """\
listen:
  port: many
transport:
  header_timeout: soon
  conect_timeout: 5s
routes:
  - { to: [{ upstream: cluade }] }
breaker: { failures: 0 }
"""


def run(*arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> Result:
    """What a command prints and with which code it ends; `given` stands on its stdin, which is no terminal."""
    return CliRunner().invoke(main, arguments, input=given, env=env)


async def run_beside(*arguments: str, given: bytes = b"") -> Result:
    """The same on a thread, so that a daemon in this process can answer."""
    return await asyncio.to_thread(run, *arguments, given=given)


def written(home: Path, text: str) -> str:
    """A configuration file of this text."""
    file = home / "mine.yaml"
    file.write_text(text)
    return str(file)


def configured(home: Path, **settings: Any) -> str:
    """A configuration file; without a port of its own, it is one on which nobody can listen."""
    file = home / "mine.yaml"
    file.write_text(yaml.safe_dump({"listen": {"port": 0}, **settings}))
    return str(file)


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)
