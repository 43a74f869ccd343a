"""A loopback address that refuses every connection."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def refusing_url() -> Iterator[str]:
    """Holds the port without listening on it, so that nobody else opens it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
