"""A credential from an environment variable."""

from collections.abc import Callable, Mapping

from claude_proxy.credentials.credential import Credential


class EnvironmentSource:
    """Reads one variable each time; `make` turns the text into a credential of the right scheme."""

    def __init__(self, variable: str, environment: Mapping[str, str], make: Callable[[str, str], Credential]) -> None:
        self.name = f"env:{variable}"
        self.place = f"the environment variable {variable}"
        self.reads = 0
        self.asks = False
        self._variable = variable
        self._environment = environment
        self._make = make

    def present(self) -> bool | None:
        return bool(self._environment.get(self._variable, "").strip())

    async def read(self) -> Credential | None:
        self.reads += 1
        value = self._environment.get(self._variable, "").strip()
        return self._make(value, self.name) if value else None
