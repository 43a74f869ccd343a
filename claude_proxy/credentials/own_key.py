"""A key of this proxy's own: from its private file, or else from the OS keychain."""

from collections.abc import Callable
from pathlib import Path

from claude_proxy.credentials.credential import Credential, CredentialSource
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.key_file import is_key_name
from claude_proxy.credentials.keychain import OWN_SERVICE, KeychainSource


class OwnKeySource:
    """What `claude-proxy key set` stored under a name, wherever it did.

    The file is looked at first: it costs nothing, no keychain asks a question for it, and it was written last.
    With `noted_only` the keychain is asked only where the file says by being empty that the key lies there.
    """

    def __init__(
        self,
        name: str,
        entry: str,
        parse: Callable[[str, CredentialSource], Credential | None],
        directory: Path,
        *,
        timeout: float,
        noted_only: bool = False,
    ) -> None:
        self.name = name
        self.asks = True
        self._parse = parse
        self._noted = False
        self._noted_only = noted_only
        path = directory / entry if is_key_name(entry) else None
        self._file = path and FileSource(name, path, self._note, timeout=timeout, private=True, planted=False)
        self._keychain = KeychainSource(name, OWN_SERVICE, entry, parse, timeout=timeout)
        self.place = f"{self._keychain.place} or {path}" if path else self._keychain.place

    @property
    def reads(self) -> int:
        return self._file.reads if self._file else self._keychain.reads

    def present(self) -> bool | None:
        return None

    async def read(self) -> Credential | None:
        self._noted = False
        found = await self._file.read() if self._file else None
        if found is not None or (self._noted_only and not self._noted):
            return found
        return await self._keychain.read()

    def _note(self, text: str, source: CredentialSource) -> Credential | None:
        self._noted = True
        return self._parse(text, source) if text.strip() else None
