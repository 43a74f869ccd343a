"""Checks of the daemon: who has its port, whether it answers, which version, with which token. They ask it alone."""

import re
from collections.abc import Iterator

from claude_proxy import __version__
from claude_proxy.doctor.case import Case
from claude_proxy.doctor.finding import Finding, fail, ok, skip, warn
from claude_proxy.port_holder import listeners
from claude_proxy.service.control import ManagerFailed
from claude_proxy.service.plan import NAME
from claude_proxy.toggle import address
from claude_proxy.toggle.hazards import lacks_token, token_wanted
from claude_proxy.toggle.health import Health, Silence, ask, wants_token

_SILENT = "no daemon answers"


def answers(case: Case) -> Iterator[Finding]:
    """Where routing is on and nobody answers, Claude Code waits for minutes and then fails."""
    where = address.netloc(case.routing.url)
    health = case.health
    if isinstance(health, Health):
        yield ok(f"process {case.pid} answers on {where} within {health.seconds * 1000:.0f} ms")
        return
    hangs = ": claude hangs" if case.routing.on else ""
    if health.taken:
        yield _taken(case, health, where, hangs)
        return
    if not address.same(case.routing.url, case.listens.url) and isinstance(ask(case.listens.url), Health):
        says = f"Claude Code is sent to {where}, where nothing answers{hangs}; the daemon is on {case.listens.url}"
        yield fail(says, case.own("enable"))
        return
    if case.listens.complaint and not case.routing.on:
        yield skip(f"where it listens is not known: {case.listens.complaint}")
        return
    on = "routing is on, but " if case.routing.on else ""
    direct = f"or go direct meanwhile: {case.own('disable')}" if case.routing.on else ""
    yield fail(f"{on}nothing answers on {where} ({health.reason}){hangs}", case.start(), direct)


def _taken(case: Case, health: Silence, where: str, hangs: str) -> Finding:
    _, port = address.host_and_port(case.routing.url)
    found = listeners(port)
    who = " and ".join(f"{name} (pid {pid})" for pid, name in found) or "another user's program"
    says = f"{where} is held by {who}, and {health.reason}{hangs}"
    then = f"then start the daemon: {case.start()}; or set another listen.port"
    if not found:
        return fail(says, f"sudo lsof -nP -iTCP:{port} -sTCP:LISTEN", f"stop what this shows, {then}")
    # One of ours that is stuck hears no other signal.
    kill = "kill -KILL" if health.hangs and all(name == NAME for _, name in found) else "kill"
    return fail(says, " ".join([kill, *(str(pid) for pid, _ in found)]), then)


def version(case: Case) -> Iterator[Finding]:
    """An older daemon lacks what this command and the configuration may already speak of."""
    if not isinstance(case.health, Health):
        yield skip(_SILENT)
        return
    running = case.health.version
    if running == __version__:
        yield ok(f"it has this command's version, {running}")
    elif _numbers(running) > _numbers(__version__):
        says = f"the daemon has version {running}, which is newer than this command's {__version__}"
        yield warn(says, advice="call the command that belongs to the daemon, or upgrade this one")
    else:
        says = f"the daemon has version {running}, which is older than this command's {__version__}"
        yield warn(says, _take_over(case), "no request is lost by it")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _take_over(case: Case) -> str:
    """What has the installed version serve: by the manager where the daemon is its service."""
    try:
        is_service = case.manager.program() is not None and case.manager.state().pid == case.pid
    except ManagerFailed:
        is_service = False
    return case.own("service restart") if is_service else f"kill -USR2 {case.pid}"


def ending(case: Case) -> Iterator[Finding]:
    """One that drains takes no new request."""
    if not isinstance(case.health, Health):
        yield skip(_SILENT)
    elif case.health.draining:
        yield warn("the daemon finishes its answers and then ends", case.start(), "once it has ended")
    else:
        yield ok("it takes new requests")


def token(case: Case) -> Iterator[Finding]:
    """Without the proxy's access token each of Claude Code's requests is refused."""
    if not isinstance(case.health, Health):
        yield skip(_SILENT)
    elif not case.routing.on:
        yield skip("routing is off")
    elif wants_token(case.routing.url) and lacks_token(case.routing.settings, case.environment):
        shown = case.places.shown(case.places.settings)
        yield fail("the daemon asks for its access token, and Claude Code sends none", advice=token_wanted(shown))
    else:
        yield ok("Claude Code may come in")
