"""The service of either manager taken away: told to end, waited for, and its files removed."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from claude_proxy.port_holder import holders
from claude_proxy.service.answering import Answering, wait_until, who_answers
from claude_proxy.service.control import ManagerFailed, ServiceManager, run
from claude_proxy.service.launchd import Launchd
from claude_proxy.service.plan import NAME, Plan
from claude_proxy.service.systemd import Systemd

SYNC_AGENT = f"{NAME}-sync-credentials"
"""The label of the agent that runs scripts/sync-credentials on a Mac."""

_EVERY = 0.2  # seconds between two looks at whether it has ended
_LAST_SECONDS = 5.0  # from the last answer to the end of the process


def installed(plan: Plan, environment: Mapping[str, str], home: Path) -> list[ServiceManager]:
    """The managers whose files are there."""
    managers: list[ServiceManager] = [Systemd(plan, environment), Launchd(plan, home)]
    return [manager for manager in managers if any(path.exists() for path in manager.files())]


def end_service(manager: ServiceManager, plan: Plan, waiting: Callable[[Answering | None], None]) -> None:
    """Ends it and waits until its running answers are finished, having called `waiting` where it does not end at once.

    Raises ManagerFailed where the manager does not obey and a daemon runs. One that is not there has nothing running.
    """
    answering = who_answers(plan.host, plan.port)
    try:
        manager.stop()
        _wait(lambda: not manager.state().loaded, lambda: waiting(answering))
    except ManagerFailed:
        if answering is not None:
            raise


def remove_files(manager: ServiceManager) -> list[Path]:
    """What has it start, and its files, which are returned. Raises OSError."""
    removed = [path for path in manager.files() if path.exists()]
    with contextlib.suppress(ManagerFailed):  # it is not there: then it starts nothing either
        manager.forget()
    for path in removed:
        path.unlink()
    with contextlib.suppress(ManagerFailed):
        manager.reread()
    return removed


def foreground_daemon(plan: Plan) -> Answering | None:
    """A daemon that was started by hand, and answers where ours would listen: a process of this machine."""
    answering = who_answers(plan.host, plan.port)
    # One in a container tells a number of its own, which is another process here.
    return answering if answering is not None and f"(pid {answering.pid})" in holders(plan.port) else None


def end_daemon(answering: Answering, plan: Plan, waiting: Callable[[Answering | None], None]) -> None:
    """Ends such a daemon as Ctrl-C would, and waits until it has ended. Raises PermissionError."""
    try:
        os.kill(answering.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    _wait(lambda: not _answers(plan, answering.pid), lambda: waiting(answering))
    wait_until(lambda: not _runs(answering.pid), _LAST_SECONDS)


def remove_sync_agent(home: Path) -> Path | None:
    """The agent that copies the login for a container. Raises OSError."""
    path = sync_agent(home)
    if not path.exists():
        return None
    with contextlib.suppress(ManagerFailed):  # no launchd, and so no agent that runs
        run("launchctl", "bootout", f"gui/{os.getuid()}/{SYNC_AGENT}", check=False)
    path.unlink()
    return path


def sync_agent(home: Path) -> Path:
    return home / "Library" / "LaunchAgents" / f"{SYNC_AGENT}.plist"


def _answers(plan: Plan, pid: int) -> bool:
    """It goes on saying how it is until its last answer is finished."""
    answering = who_answers(plan.host, plan.port)
    return answering is not None and answering.pid == pid


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(ended: Callable[[], bool], say_so: Callable[[], None]) -> None:
    """For as long as it takes: the daemon itself ends after `drain_timeout` at the latest."""
    if ended():
        return
    say_so()
    while not ended():
        time.sleep(_EVERY)
