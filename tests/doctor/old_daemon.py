"""A daemon of an older version, which can be upgraded: a copy of the package that says another version."""

import asyncio
import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import claude_proxy
from tests.running import Daemon, clean_environment

PACKAGE = Path(claude_proxy.__file__).parent


class Installed:
    """The copy, as it is installed somewhere."""

    def __init__(self, place: Path) -> None:
        self._package = place / "claude_proxy"
        shutil.copytree(PACKAGE, self._package, ignore=shutil.ignore_patterns("__pycache__"))
        self.place = place
        self.says("0.0.1")

    def says(self, version: str) -> None:
        """From now on it is of this version."""
        file = self._package / "__init__.py"
        file.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text()))


@contextlib.asynccontextmanager
async def daemon_of(installed: Installed, config: Path) -> AsyncIterator[Daemon]:
    """Runs it with this configuration, which names its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "claude_proxy", "serve", "--config", str(config)),
        env=clean_environment(installed.place, {"PYTHONPATH": str(installed.place), "PYTHONDONTWRITEBYTECODE": "1"}),
        cwd=installed.place,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    daemon = Daemon(process, installed.place)
    try:
        daemon.url = (await daemon.logged(r"event=listening .*url=(\S+)"))[1]
        yield daemon
    finally:
        await daemon.stop()
