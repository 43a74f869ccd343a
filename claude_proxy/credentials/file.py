"""A credential from a file: Claude Code's own `.credentials.json`, a copy of it, or a key in a file of mode 0600."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut
from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable
from claude_proxy.credentials.regular_file import FileRefused, read_regular


class FileSource:
    """Reads a file on a thread, since it may lie on a mount that hangs.

    `parse` turns its text into a credential. With `private` a file that others may read is refused, without
    `planted` one that another user may have put there.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        parse: Callable[[str, CredentialSource], Credential | None],
        *,
        timeout: float,
        private: bool = False,
        planted: bool = True,
    ) -> None:
        self.name = name
        self.place = str(path)
        self.asks = False
        self._path = path
        self._parse = parse
        self._read = BlockingRead(partial(read_regular, path, private=private, planted=planted), timeout)

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
        except FileRefused as error:
            raise CredentialUnavailable(str(error)) from None
        except OSError as error:
            raise CredentialUnavailable(f"{self._path} could not be read: {error.strerror}") from None
        return None if text is None else self._parse(text, self)
