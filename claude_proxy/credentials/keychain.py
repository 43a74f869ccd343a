"""The OS keychain: Claude Code's own item, and the entries of this proxy.

On macOS Claude Code's item is read through `/usr/bin/security`, which its access list trusts; any other program
would make the system ask the user, again after each upgrade. Everything else goes through `keyring`. We never
write Claude Code's item: a native write would change its access list.
"""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Mapping

from claude_proxy.credentials.blocking import BlockingRead, ReadTimedOut
from claude_proxy.credentials.credential import Credential, CredentialSource, CredentialUnavailable

CLAUDE_SERVICE = "Claude Code-credentials"
OWN_SERVICE = "claude-proxy"

SECURITY = "/usr/bin/security"
"""macOS' own program, by its whole path: whatever else of that name the PATH leads to is not asked."""

_ITEM_NOT_FOUND = 44  # security(1): errSecItemNotFound
_NO_INTERACTION = 36  # errSecInteractionNotAllowed: the keychain is locked and nobody can be asked
_DENIED = 51  # errSecAuthFailed
_CANCELED = 128  # errSecUserCanceled: the dialog was closed without permission


class KeychainSource:
    """One item of the keychain, read on a thread with a limit of time, one read at a time."""

    def __init__(
        self,
        name: str,
        service: str,
        account: str,
        parse: Callable[[str, CredentialSource], Credential | None],
        *,
        timeout: float,
        through_security: bool | None = None,
        security: str | None = None,
    ) -> None:
        self.name = name
        self.asks = True
        self.place = f"the keychain item {service!r} (account {account!r})"
        self._parse = parse
        if through_security is None:
            through_security = sys.platform == "darwin" and service.startswith(CLAUDE_SERVICE)
        if through_security:
            # A second more, so that what is told is the limit that ended `security`, with its remedy.
            self._read = BlockingRead(_security_reader(security or SECURITY, service, account, timeout), timeout + 1.0)
        else:
            self._read = BlockingRead(_keyring_reader(service, account), timeout)

    @property
    def reads(self) -> int:
        return self._read.count

    def present(self) -> bool | None:
        return None

    async def read(self) -> Credential | None:
        try:
            text = await self._read()
        except ReadTimedOut as error:
            raise CredentialUnavailable(
                f"{self.place} could not be read: {error}; it may be locked or waiting for an answer: unlock it"
            ) from None
        except CredentialUnavailable as error:
            raise CredentialUnavailable(f"{self.place} could not be read: {error}") from None
        return None if text is None else self._parse(text, self)


def claude_item(environment: Mapping[str, str]) -> tuple[str, str]:
    """Service and account of Claude Code's item: with a configuration directory of its own, the service is
    suffixed with the first 8 hex digits of that directory's SHA-256 (seen with Claude Code 2.1.197)."""
    directory = environment.get("CLAUDE_SECURESTORAGE_CONFIG_DIR") or environment.get("CLAUDE_CONFIG_DIR")
    service = CLAUDE_SERVICE
    if directory:
        digest = hashlib.sha256(unicodedata.normalize("NFC", directory).encode()).hexdigest()
        service = f"{CLAUDE_SERVICE}-{digest[:8]}"
    user = environment.get("USER", "")
    return service, user if re.fullmatch(r"[A-Za-z0-9._-]+", user) else "claude-code-user"


def _keyring_reader(service: str, account: str) -> Callable[[], str | None]:
    def read() -> str | None:
        # Imported on this thread and only when needed: it costs 60 ms and 25 MB.
        import keyring
        import keyring.errors

        try:
            return keyring.get_password(service, account)
        except keyring.errors.NoKeyringError:
            # keyring remembers that it found none; the session bus may come up later.
            keyring.core.init_backend()
            return None
        except keyring.errors.KeyringLocked:
            raise CredentialUnavailable("it is locked; unlock it, for instance by logging in to the desktop") from None
        except Exception as error:  # D-Bus and its libraries raise OSError, TimeoutError, RuntimeError and more
            raise CredentialUnavailable(f"{type(error).__name__}: {error}") from None

    return read


def _security_reader(program: str, service: str, account: str, timeout: float) -> Callable[[], str | None]:
    def read() -> str | None:
        command = [program, "find-generic-password", "-s", service, "-a", account, "-w"]
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")},
                start_new_session=True,
            )
        except OSError as error:
            raise CredentialUnavailable(f"{program} could not be run: {error.strerror}") from None
        with process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise CredentialUnavailable(
                    f"no answer within {timeout:g} s; macOS may be asking for permission: answer its dialog"
                ) from None
        return _security_answer(process.returncode, output)

    return read


def _security_answer(code: int, output: bytes) -> str | None:
    """What an exit code of security(1) means."""
    if code == 0:
        return output.decode(errors="replace").rstrip("\n")
    if code == _ITEM_NOT_FOUND:
        return None
    if code == _NO_INTERACTION:
        raise CredentialUnavailable("the keychain is locked; unlock it: security unlock-keychain")
    if code == _DENIED:
        raise CredentialUnavailable("macOS denied access; allow `security` in Keychain Access for this item")
    if code == _CANCELED:
        raise CredentialUnavailable("macOS asked for permission and got none; allow `security` when it asks again")
    raise CredentialUnavailable(f"security ended with exit code {code}")
