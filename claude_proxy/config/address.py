"""Where the daemon listens: the one thing that commands need which only talk to it.

The whole configuration knows the settings of every room, and importing them takes four times as long as such a
command may.
"""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.config.layers import lay
from claude_proxy.config.reader import Reader


def listen_address(path: Path | None, environment: Mapping[str, str]) -> tuple[str, int]:
    """Host and port. Raises ConfigurationError where the file cannot be read or says no address.

    A variable of this shell's that says nothing of the address is no fault here: the daemon need not have it.
    """
    layers = lay(path, environment)
    listen = Reader(layers.tree, "", layers.complaints).section("listen")
    address = listen.text("host", "127.0.0.1"), listen.integer("port", 0, 65535)
    layers.complaints[:] = [
        one for one in layers.complaints if one.path.startswith("listen") or not one.place.startswith("variable ")
    ]
    layers.refuse_if_faulty()
    return address
