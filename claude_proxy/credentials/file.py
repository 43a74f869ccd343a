"""A credential from a file: Claude Code's own `.credentials.json`, or a key in a file of mode 0600."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut
from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable

_LARGEST = 1 << 20  # bytes; a login is a few hundred


class FileSource:
    """Reads a file on a thread, since it may lie on a mount that hangs.

    `parse` turns its text into a credential. With `private` a file that others may read is refused.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        parse: Callable[[str, CredentialSource], Credential | None],
        *,
        timeout: float,
        private: bool = False,
    ) -> None:
        self.name = name
        self.place = str(path)
        self._path = path
        self._parse = parse
        self._private = private
        self._read = BlockingRead(self._read_text, timeout)

    @property
    def reads(self) -> int:
        return self._read.count

    def present(self) -> bool | None:
        return None

    async def read(self) -> Credential | None:
        try:
            text = await self._read()
        except ReadTimedOut as error:
            raise CredentialUnavailable(f"{self._path} could not be read: {error}") from None
        except UnicodeDecodeError:
            raise CredentialUnavailable(f"{self._path} is not UTF-8 text") from None
        except OSError as error:
            raise CredentialUnavailable(f"{self._path} could not be read: {error.strerror}") from None
        return None if text is None else self._parse(text, self)

    def _read_text(self) -> str | None:
        try:
            # Not blocking: a FIFO in its place must not hold the thread.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CredentialUnavailable(f"{self._path} is not a regular file")
            if self._private and status.st_mode & 0o077:
                raise CredentialUnavailable(
                    f"{self._path} can be read by others; make it private: chmod 600 {self._path}"
                )
            return os.read(descriptor, _LARGEST).decode()
        finally:
            os.close(descriptor)
