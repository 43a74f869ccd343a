"""A keyring that lives as long as its test, or raises what the test says."""

from collections.abc import Callable

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class MemoryKeyring(KeyringBackend):
    """Set `outcome` to have every call end in it instead."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring has no types there
        self.items: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, str]] = []
        self.outcome: Callable[[], None] | None = None

    def _ask(self, service: str, username: str) -> None:
        self.asked.append((service, username))
        if self.outcome is not None:
            self.outcome()

    def get_password(self, service: str, username: str) -> str | None:
        self._ask(service, username)
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask(service, username)
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._ask(service, username)
        if self.items.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")


def raising(error: Exception) -> Callable[[], None]:
    def outcome() -> None:
        raise error

    return outcome
