"""Checks of the directory in which records are kept: room on its disk, and that it can be written."""

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from claude_proxy.config.ledger import default_ledger
from claude_proxy.config.ledger_place import ledger_settings
from claude_proxy.config.tree import ConfigurationError
from claude_proxy.doctor.case import Case
from claude_proxy.doctor.finding import Finding, fail, ok, warn

_ROOM = 64 << 20  # bytes
_TRIED = 64 << 10  # bytes
_MAKE_ROOM = "make room there: delete or move what is large"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def directory(case: Case) -> Iterator[Finding]:
    """Something is written there and gone again: neither a mode nor the room that is told say that it works."""
    wanted = _file(case).parent
    place = next(path for path in (wanted, *wanted.parents) if path.exists())  # the root is always there
    try:
        # Without a name, where the system can do that.
        with tempfile.TemporaryFile(dir=place) as tried:
            tried.write(bytes(_TRIED))
        free = shutil.disk_usage(place).free
    except OSError as error:
        yield _not_written(place, error)
        return
    if free < _ROOM:
        says = f"only {free >> 20} MiB are left for {wanted}"
        yield warn(says, f"df -h {shlex.quote(str(place))}", _MAKE_ROOM)
    else:
        yield ok(f"{wanted} can be written, with {free >> 20} MiB left")


def _file(case: Case) -> Path:
    """The ledger; of a configuration that cannot be read, which is another check's matter, the default."""
    try:
        return ledger_settings(case.path, case.environment).path
    except ConfigurationError:
        return default_ledger(case.environment)


def _not_written(place: Path, error: OSError) -> Finding:
    says = f"nothing can be written in {place}: {(error.strerror or type(error).__name__).lower()}"
    quoted = shlex.quote(str(place))
    if not place.is_dir():
        return fail(says, f"mv {quoted} {shlex.quote(f'{place}.old')}")
    if error.errno in _FULL:
        return fail(says, f"df -h {quoted}", _MAKE_ROOM)
    if error.errno == errno.EACCES:
        is_ours = place.stat().st_uid == os.geteuid()
        return fail(says, f"chmod u+rwx {quoted}" if is_ours else f'sudo chown "$(id -un)" {quoted}')
    return fail(says, advice="see how that disk is mounted, or name another place: ledger.url in the configuration")
