"""Ctrl-C as the ordinary end of a command that goes on for ever: quiet, with the code that shells expect."""

import contextlib
import sys
from collections.abc import Iterator

INTERRUPTED = 130


@contextlib.contextmanager
def ends_on_ctrl_c() -> Iterator[None]:
    """The program ends with 130 where it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
