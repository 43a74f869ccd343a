"""A real Secret Service for a test: gnome-keyring-daemon on a private session bus, gone after the test."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.conftest import need

PASSWORD = "the collection's password"
REPOSITORY = Path(__file__).parent.parent

# Runs inside dbus-run-session: says where the bus is and that the service has come up, then lives until its
# stdin is closed, which also happens when the test process dies. Everything on the bus ends with the bus.
# The service is waited for with NameHasOwner because any call to it would make the bus start a second one.
SESSION = r"""
printf %s "$PASSWORD" | gnome-keyring-daemon --unlock --foreground --components=secrets >"$HOME/log" 2>&1 &
keyring=$!
unset PASSWORD
until dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q true
do sleep 0.02
done
echo "$keyring $DBUS_SESSION_BUS_ADDRESS"
read -r _
kill -KILL "$keyring"
"""


class SecretService:
    """A running Secret Service whose default collection exists and is unlocked."""

    def __init__(self, home: Path, address: str, keyring: int, own: Mapping[str, str]) -> None:
        self.environment = {
            "DBUS_SESSION_BUS_ADDRESS": address,
            "XDG_RUNTIME_DIR": own["XDG_RUNTIME_DIR"],
            "PYTHON_KEYRING_BACKEND": "keyring.backends.SecretService.Keyring",
        }
        self._prompts = home / "prompts"
        self._keyring = keyring
        self._own = {**own, **self.environment, "PYTHONPATH": str(REPOSITORY)}

    async def store(self, service: str, account: str, secret: str) -> None:
        """Writes an item through the `keyring` library; an item that is there is replaced."""
        await self._ask("store", service, account, given=secret)

    async def read(self, service: str, account: str) -> str | None:
        """Reads an item back through the `keyring` library."""
        return await self._ask("read", service, account) or None

    async def lock(self) -> None:
        """Locks the default collection: whoever reads now makes the service ask for its password."""
        await self._ask("lock")

    async def unlock(self) -> None:
        """Unlocks it, as the person at the screen would."""
        await self._ask("unlock", given=PASSWORD)

    def freeze(self) -> None:
        """The service stays on the bus and answers nothing."""
        os.kill(self._keyring, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._keyring, signal.SIGCONT)

    @property
    def prompts(self) -> int:
        """How many password dialogs have been opened."""
        return len(self._prompts.read_text().splitlines()) if self._prompts.exists() else 0

    async def _ask(self, *command: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.secret_service_client", *command),
            env=self._own,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(20):
                output, errors = await process.communicate(given.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, errors.decode()
        return output.decode()


@contextlib.asynccontextmanager
async def secret_service(*, someone_is_there: bool = False) -> AsyncIterator[SecretService]:
    """Starts the service and ends all of its processes; skips the test where Debian's packages are missing.

    A read of the locked collection fails at once, as on a machine without a screen. With `someone_is_there`
    it opens a dialog that nobody ever answers, and the read waits for ever.
    """
    for program, package in (
        ("dbus-run-session", "dbus-daemon"),
        ("dbus-send", "dbus-bin"),
        ("gnome-keyring-daemon", "gnome-keyring"),
    ):
        need(program, f"apt-get install {package}")
    # Not under tmp_path: the name of a Unix socket may have 107 characters only.
    with tempfile.TemporaryDirectory(prefix="keyring-") as directory:
        home = Path(directory)
        own = {
            "HOME": directory,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "USER": "tester",
            "XDG_RUNTIME_DIR": directory,
            "XDG_DATA_HOME": f"{directory}/data",
        }
        _install_prompter(home, someone_is_there=someone_is_there)
        process = await asyncio.create_subprocess_exec(
            *("dbus-run-session", "--", "sh", "-c", SESSION),
            env={**own, "PASSWORD": PASSWORD},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(20):
                line = (await process.stdout.readline()).decode()
            assert line, f"no Secret Service came up:\n{(home / 'log').read_text()}"
            keyring, address = line.split()
            yield SecretService(home, address, int(keyring), own)
        finally:
            process.stdin.close()
            async with asyncio.timeout(20):
                await process.wait()


def _install_prompter(home: Path, *, someone_is_there: bool) -> None:
    """Makes the bus start our prompter in place of the desktop's, which depends on a display."""
    command = "/bin/false"
    if someone_is_there:
        command = f"{sys.executable} {Path(__file__).parent / 'unanswered_prompt.py'} {home / 'prompts'}"
    services = home / "dbus-1" / "services"
    services.mkdir(parents=True)
    name = "org.gnome.keyring.SystemPrompter"
    (services / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec={command}\n")
