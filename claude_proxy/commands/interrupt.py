"""Ctrl-C as the ordinary end of a command that goes on for ever: quiet, with the code that shells expect."""

import contextlib
import sys
import warnings
from collections.abc import Iterator

INTERRUPTED = 130


@contextlib.contextmanager
def ends_on_ctrl_c() -> Iterator[None]:
    """The program ends with 130 where it is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        warnings.simplefilter("ignore", ResourceWarning)  # what it had open is closed with its end
        sys.exit(INTERRUPTED)
