"""What the checks look at: where the daemon listens, routing, the daemon's own words; each is read once.

It is light: whoever needs the settings of every room takes `WholeCase`.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from claude_proxy.service.control import ServiceManager
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import NAME, Plan, Unfit, find_program
from claude_proxy.service.systemd import Systemd
from claude_proxy.toggle import address, routing
from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.health import Health, Silence, ask
from claude_proxy.toggle.places import Places

_RUNTIME = "/run/user"
_USERS_MANAGER = "systemd/private"  # the socket of systemd's manager of the user, below XDG_RUNTIME_DIR


class Case:
    """One machine, as this shell sees it. `path` is the configuration file where one was named."""

    def __init__(self, path: Path | None, environment: Mapping[str, str]) -> None:
        self.path = path
        self.environment = environment

    @cached_property
    def places(self) -> Places:
        return Places.of(self.environment)

    @cached_property
    def disk(self) -> Disk:
        return Disk()

    @cached_property
    def listens(self) -> address.Address:
        """Where the daemon listens by its configuration."""
        file = self.path or self.places.configuration
        return address.configured(file, self.environment, required=self.path is not None)

    @cached_property
    def routing(self) -> routing.Routing:
        return routing.find(self.places, self.disk, self.environment, self.listens.url)

    @cached_property
    def health(self) -> Health | Silence:
        """The daemon where Claude Code would ask it."""
        return ask(self.routing.url)

    @property
    def body(self) -> Mapping[str, Any]:
        """What the daemon says; nothing where none answers."""
        return self.health.body if isinstance(self.health, Health) else {}

    @property
    def pid(self) -> int | None:
        pid = self.body.get("pid")
        return pid if isinstance(pid, int) else None

    @cached_property
    def manager(self) -> ServiceManager:
        host, port = address.host_and_port(self.listens.url)
        plan = Plan((NAME,), host, port)
        return Launchd(plan, Path.home()) if sys.platform == "darwin" else Systemd(plan, self.environment)

    @cached_property
    def has_manager(self) -> bool:
        """Whether there is a service manager that could run the daemon."""
        runtime = Path(self.environment.get("XDG_RUNTIME_DIR") or f"{_RUNTIME}/{os.getuid()}")
        return sys.platform == "darwin" or (runtime / _USERS_MANAGER).exists()

    @cached_property
    def program(self) -> Path | None:
        """The `claude-proxy` that runs now; None where it was started as a module and is installed nowhere."""
        try:
            return find_program()
        except Unfit:
            return None

    def own(self, words: str, *, configured: bool = True) -> str:
        """A command of ours as it can be pasted here. `configured`: it takes the configuration file."""
        on_path = shutil.which(NAME, path=self.environment.get("PATH"))
        if self.program is None:
            begin = f"{shlex.quote(sys.executable)} -m claude_proxy"
        elif on_path is not None and os.path.realpath(on_path) == os.path.realpath(self.program):
            begin = NAME
        else:
            begin = shlex.quote(str(self.program))
        end = f" --config {shlex.quote(str(self.path.absolute()))}" if configured and self.path is not None else ""
        return f"{begin} {words}{end}"

    def start(self) -> str:
        """The command that starts the daemon on this machine."""
        if self.manager.program() is not None:
            return self.own("service start")
        return self.own("service install" if self.has_manager else "serve")
