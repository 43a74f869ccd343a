"""This proxy's own keys, stored and forgotten: in the OS keychain, or in private files where there is none."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut
from claude_proxy.credentials.key_file import key_names, remove_key_file, write_key_file
from claude_proxy.credentials.keychain import OWN_SERVICE
from claude_proxy.credentials.regular_file import FileRefused, read_regular

T = TypeVar("T")

_PATIENCE = 60.0  # seconds for a keychain, which may be asking a person for its password


class KeyNotStored(Exception):
    """A key could not be stored, looked up or forgotten; the text says where, why and what to do."""


class Place(StrEnum):
    KEYCHAIN = "keychain"
    FILE = "file"


class KeyStore:
    """Where keys of our own are kept. Every method may wait for the keychain, and raises KeyNotStored."""

    def __init__(self, directory: Path, patience: float = _PATIENCE) -> None:
        self.directory = directory
        self._patience = patience

    def put(self, name: str, secret: str) -> Place:
        """Stores a key in the place of an older one of that name, and says where."""
        kept = self._ask(partial(_set, name, secret))
        self._file(partial(write_key_file, self.directory, name, "" if kept else f"{secret}\n"))
        return Place.KEYCHAIN if kept else Place.FILE

    def remove(self, name: str) -> set[Place]:
        """Forgets a key, and says where there was one."""
        try:
            held = self._in_file(name)
        except KeyNotStored:
            held = True  # whatever lies there goes
        removed = self._file(partial(remove_key_file, self.directory, name))
        found = {Place.FILE} if removed and held else set()
        return found | ({Place.KEYCHAIN} if self._ask(partial(_delete, name)) else set())

    def find(self, name: str) -> Place | None:
        """Where a key of this name lies, None where there is none."""
        if self._in_file(name):
            return Place.FILE
        return Place.KEYCHAIN if self._ask(partial(_has, name)) else None

    def names(self) -> list[str]:
        """The names under which keys were stored by `put`; a keychain cannot be asked for those that it holds."""
        return self._file(partial(key_names, self.directory))

    def _in_file(self, name: str) -> bool:
        text = self._file(partial(read_regular, self.directory / name, private=True, planted=False))
        return bool(text and text.strip())

    def _file(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except FileRefused as error:
            raise KeyNotStored(str(error)) from None
        except UnicodeDecodeError:
            raise KeyNotStored(f"a file in {self.directory} is not UTF-8 text; remove it") from None
        except OSError as error:
            # Within the directory held open a file is told by its name alone.
            raise KeyNotStored(f"{self.directory / (error.filename or '')}: {error.strerror}") from None

    def _ask(self, act: Callable[[], T]) -> T:
        try:
            return asyncio.run(_within(act, self._patience))
        except ReadTimedOut as error:
            raise KeyNotStored(f"the keychain gave {error}; it may be asking a question: answer it") from None


async def _within(act: Callable[[], T], seconds: float) -> T:
    return await BlockingRead(act, seconds)()


def _set(name: str, secret: str) -> bool:
    # Imported here and in the next two, on their thread and only when needed: it costs 60 ms and 25 MB.
    import keyring
    import keyring.errors

    try:
        keyring.set_password(OWN_SERVICE, name, secret)
        # A backend that was chosen to hold nothing says that it has stored it, all the same.
        return keyring.get_password(OWN_SERVICE, name) == secret
    except keyring.errors.NoKeyringError:
        return False
    except Exception as error:  # D-Bus and its libraries raise OSError, TimeoutError, RuntimeError and more
        raise _refused(error, secret) from None


def _delete(name: str) -> bool:
    import keyring
    import keyring.errors

    try:
        if keyring.get_password(OWN_SERVICE, name) is None:
            return False
        keyring.delete_password(OWN_SERVICE, name)
        return True
    except keyring.errors.NoKeyringError:
        return False
    except Exception as error:
        raise _refused(error) from None


def _has(name: str) -> bool:
    import keyring
    import keyring.errors

    try:
        return keyring.get_password(OWN_SERVICE, name) is not None
    except keyring.errors.NoKeyringError:
        return False
    except Exception as error:
        raise _refused(error) from None


def _refused(error: Exception, secret: str = "") -> KeyNotStored:
    """Why the keychain would not, in words that quote no secret."""
    if type(error).__name__ == "KeyringLocked":
        return KeyNotStored("the keychain is locked; unlock it, for instance by logging in to the desktop")
    said = f"{type(error).__name__}: {error}"
    return KeyNotStored(f"the keychain refused: {said.replace(secret, '[redacted]') if secret else said}")
