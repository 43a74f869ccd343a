"""Checks of what is installed: this program, and the one that PATH leads to."""

import os
import shutil
import sys
from collections.abc import Iterator

from claude_proxy import __version__
from claude_proxy.doctor.case import Case
from claude_proxy.doctor.execution import DoesNotRun, version_of
from claude_proxy.doctor.finding import Finding, ok, warn
from claude_proxy.service.plan import NAME


def program(case: Case) -> Iterator[Finding]:
    """Another `claude-proxy` on PATH would be the one that runs when a command of ours is typed."""
    python = ".".join(map(str, sys.version_info[:3]))
    place = case.program or sys.executable
    on_path = shutil.which(NAME, path=case.environment.get("PATH"))
    if on_path is None or case.program is None or os.path.realpath(on_path) == os.path.realpath(case.program):
        yield ok(f"version {__version__} at {place}, Python {python}")
        return
    advice = f"remove it, or put the directory of {case.program} before it in PATH"
    try:
        other = version_of(on_path)
    except DoesNotRun as error:
        yield warn(f"the {NAME} on your PATH, {on_path}: {error}", advice=advice)
        return
    if other == __version__:
        yield ok(f"version {__version__} at {place}, Python {python}; also at {on_path}")
    else:
        yield warn(f"the {NAME} on your PATH, {on_path}, has version {other}, this one {__version__}", advice=advice)
