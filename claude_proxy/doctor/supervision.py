"""Checks of the service, where it is installed: its program, and what its manager says of it."""

import os
from collections.abc import Iterator

from claude_proxy.doctor.case import Case
from claude_proxy.doctor.execution import DoesNotRun, version_of
from claude_proxy.doctor.finding import Finding, fail, ok, skip, warn
from claude_proxy.service.control import ManagerFailed
from claude_proxy.toggle.health import Health


def program(case: Case) -> Iterator[Finding]:
    """It is run: that its file is there does not say that its Python is."""
    starts = case.manager.program()
    if starts is None:
        yield skip("the daemon is not installed as a service, and need not be")
        return
    if not os.access(starts, os.X_OK):
        yield fail(f"the service starts {starts}, which is gone", case.own("service install"))
        return
    try:
        yield ok(f"the service starts {starts}, version {version_of(starts)}")
    except DoesNotRun as error:
        yield fail(f"the service starts {starts}: {error}", case.own("service install"))


def manager(case: Case) -> Iterator[Finding]:
    """A daemon beside the service would have its port, and be gone with the session."""
    if case.manager.program() is None:
        yield skip("the daemon is not installed as a service")
        return
    try:
        state = case.manager.state()
    except ManagerFailed as failed:
        yield warn(f"the service manager does not answer: {failed}", case.own("serve"))
        return
    if state.loaded:
        yield ok(f"the service is {state.words}")
    elif isinstance(case.health, Health):
        start = case.own("service start")
        says = f"process {case.pid} answers, and is not the service, which is {state.words}"
        yield warn(says, f"kill {case.pid} && {start}", "its running answers are finished first")
    else:
        yield skip(f"the service is {state.words}")  # the daemon's own check says what to do
