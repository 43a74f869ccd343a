"""Checks of the configuration: that it is valid, that nobody else reads its secrets, who may reach the port."""

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from claude_proxy.config.sections import is_loopback
from claude_proxy.credentials.claude_program import login_file
from claude_proxy.credentials.key_file import key_names, keys_directory
from claude_proxy.doctor.finding import Finding, Mark, fail, ok, skip, warn
from claude_proxy.doctor.whole_case import WholeCase

_OTHERS = 0o077


def valid(case: WholeCase) -> Iterator[Finding]:
    """A faulty one keeps the daemon from its next start, and is not taken over by a reload."""
    if case.complaints:
        first, *others = case.complaints
        more = f" (and {len(others)} more: {case.own('check')})" if others else ""
        yield fail(f"{first}{more}", advice="mend that line; until then the daemon does not start, nor reload it")
        return
    has_file = case.settings is not None and case.settings.file is not None
    yield ok(f"{case.file} is valid" if has_file else "the built-in one; no file of yours")


def secrets(case: WholeCase) -> Iterator[Finding]:
    """What others may read: a file of a secret that the daemon then refuses, or one that it reads all the same."""
    found = [finding for path, refused in _files(case).items() if (finding := _mode(path, refused=refused))]
    yield from found or [ok("no file with a secret can be read by others")]


def _files(case: WholeCase) -> dict[Path, bool]:
    """The files and directories of secrets, and whether the daemon refuses one that others may read."""
    credentials = case.settings.credentials.values() if case.settings else ()
    named = [source for credential in credentials for source in credential.sources if source.startswith("file:")]
    directory = keys_directory(case.environment)
    found = {Path(source.removeprefix("file:")).expanduser(): True for source in named}
    found |= {directory / name: True for name in _names(directory)}
    open_anyway = [login_file(case.environment), directory, case.token_file]
    return found | {path: False for path in open_anyway if path is not None and path not in found}


def _names(directory: Path) -> list[str]:
    try:
        return key_names(directory)
    except OSError:
        return []  # then none of them can be read by the daemon either, which the check of credentials says


def _mode(path: Path, *, refused: bool) -> Finding | None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    if not mode & _OTHERS:
        return None
    wanted = "700" if path.is_dir() else "600"
    says = (
        f"{path} can be read or changed by others (mode {mode:o}){', so the daemon does not use it' if refused else ''}"
    )
    command = f"chmod {wanted} {shlex.quote(str(path))}"
    return Finding(Mark.FAIL if refused else Mark.WARN, says, command, "if others use this machine, replace the secret")


def reach(case: WholeCase) -> Iterator[Finding]:
    """Loopback only, unless something keeps others out."""
    settings = case.settings
    if settings is None:
        yield skip("the configuration is faulty")
        return
    host, access = settings.listen.host, settings.access
    guarded = access.enabled and bool(access.token)
    if is_loopback(host):
        yield ok(f"only this machine reaches {host}; its users need {'the' if guarded else 'no'} access token")
    elif guarded:
        yield ok(f"other machines reach {host}, with the access token")
    else:
        advice = "see that nobody but the reverse proxy reaches the port, or set AUTH_TOKEN, or listen on 127.0.0.1"
        yield warn(f"whoever reaches {host} directly needs no token, as access.trust_proxy says", advice=advice)


def in_force(case: WholeCase) -> Iterator[Finding]:
    """What stands in the file is what the daemon does only after a reload."""
    settings = case.settings
    upstreams = case.body.get("upstreams")
    if settings is None or not isinstance(upstreams, dict):
        yield skip("the configuration is faulty" if settings is None else "no daemon answers")
        return
    running = {name: (its.get("base_url"), its.get("credential")) for name, its in upstreams.items()}
    wanted = {name: (its.base_url, its.credential or "none") for name, its in settings.upstreams.items()}
    if differing := sorted(name for name in running | wanted if running.get(name) != wanted.get(name)):
        says = f"the daemon goes by another configuration than this shell reads: {', '.join(differing)} differ"
        yield warn(says, f"kill -HUP {case.pid}", "unless variables differ, which only a restart gives it")
    else:
        yield ok("the daemon goes by it")
