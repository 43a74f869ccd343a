"""Checks of the directory in which records and keys are kept: room on its disk, and that it can be written."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.doctor.case import Case
from claude_proxy.doctor.finding import Finding, fail, ok, warn

_ROOM = 64 << 20  # bytes
_TRIED = 64 << 10  # bytes


def directory(case: Case) -> Iterator[Finding]:
    """Something is written there and gone again: neither a mode nor the room that is told say that it works."""
    wanted = keys_directory(case.environment).parent
    place = next(path for path in (wanted, *wanted.parents) if path.exists())  # the root is always there
    try:
        # Without a name, where the system can do that.
        with tempfile.TemporaryFile(dir=place) as tried:
            tried.write(bytes(_TRIED))
        free = shutil.disk_usage(place).free
    except NotADirectoryError:
        yield fail(f"{place} is no directory", f"mv {shlex.quote(str(place))} {shlex.quote(f'{place}.old')}")
        return
    except PermissionError:
        yield fail(
            f"nothing can be written in {place}", f"sudo chown $USER {shlex.quote(str(place))} && {_open(place)}"
        )
        return
    except OSError as error:
        advice = "make room there: delete or move what is large"
        yield fail(f"nothing can be written in {place}: {error.strerror}", f"df -h {shlex.quote(str(place))}", advice)
        return
    if free < _ROOM:
        says = f"only {free >> 20} MiB are left for {wanted}"
        yield warn(says, f"df -h {shlex.quote(str(place))}", "make room there: delete or move what is large")
    else:
        yield ok(f"{wanted} can be written, with {free >> 20} MiB left")


def _open(place: Path) -> str:
    return f"chmod u+rwx {shlex.quote(str(place))}"
