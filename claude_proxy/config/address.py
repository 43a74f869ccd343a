"""Where the daemon listens: the one thing that commands need which only talk to it.

The whole configuration knows the settings of every room, and importing them takes four times as long as such a
command may.
"""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.directories import our_config

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8082
"""As in default.yaml; only to import what reads that takes 10 ms."""

_VARIABLES = ("CLAUDE_PROXY_LISTEN", "PORT", "SERVER_HOST")


def listen_address(path: Path | None, environment: Mapping[str, str]) -> tuple[str, int]:
    """Host and port. Raises ConfigurationError where the file cannot be read or says no address.

    A variable of this shell's that says nothing of the address is no fault here: the daemon need not have it.
    """
    if path is None and not our_config().joinpath("config.yaml").exists() and not _says_something(environment):
        return DEFAULT_HOST, DEFAULT_PORT
    # Imported only where there is something to read: with YAML it takes 30 ms.
    from claude_proxy.config.layers import lay
    from claude_proxy.config.reader import Reader

    layers = lay(path, environment)
    listen = Reader(layers.tree, "", layers.complaints).section("listen")
    address = listen.text("host", DEFAULT_HOST), listen.integer("port", 0, 65535)
    layers.complaints[:] = [
        one for one in layers.complaints if one.path.startswith("listen") or not one.place.startswith("variable ")
    ]
    layers.refuse_if_faulty()
    return address


def _says_something(environment: Mapping[str, str]) -> bool:
    return any(name.startswith(_VARIABLES) for name in environment)
