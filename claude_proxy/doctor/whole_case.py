"""The same with the whole configuration: the settings of every room, and what the checks before have learnt."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from claude_proxy.config.layers import lay
from claude_proxy.config.load import load
from claude_proxy.config.reader import Reader
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import Complaint, ConfigurationError
from claude_proxy.doctor.case import Case
from claude_proxy.doctor.finding import Mark
from claude_proxy.doctor.knock import Knock


class WholeCase(Case):
    """`stands` is how each credential stands, `knocks` how far one came at each upstream: what the checks of these
    leave for those after them. `probing` says whether requests may be sent that cost."""

    def __init__(self, path: Path | None, environment: Mapping[str, str], *, probing: bool) -> None:
        super().__init__(path, environment)
        self.probing = probing
        self.stands: dict[str, Mark] = {}
        self.knocks: dict[str, Knock] = {}

    @cached_property
    def _loaded(self) -> tuple[Settings | None, tuple[Complaint, ...]]:
        try:
            return load(self.path, self.environment), ()
        except ConfigurationError as error:
            return None, error.complaints

    @property
    def settings(self) -> Settings | None:
        """None where the configuration is faulty."""
        return self._loaded[0]

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        return self._loaded[1]

    @property
    def file(self) -> Path:
        """The user's configuration, whether it is there or not."""
        return self.path or self.places.configuration

    @cached_property
    def token_file(self) -> Path | None:
        """The file that holds the proxy's access token, where one is named."""
        tree = lay(self.path, self.environment).tree
        named = Reader(tree, "", []).section("access").section("token").text("file")
        return Path(named).expanduser() if named else None

    def routed(self) -> list[str]:
        """The upstreams that routes lead to, in their order."""
        routes = self.settings.routes if self.settings else ()
        return list(dict.fromkeys(target.upstream for route in routes for target in route.targets))
