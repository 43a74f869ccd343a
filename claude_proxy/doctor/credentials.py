"""Checks of credentials: whether each that routes need is there and may be used. No secret is shown."""

import sys
from collections.abc import Iterator
from typing import Any

from claude_proxy.commands.own_look import look_closely
from claude_proxy.commands.standing import CredentialStanding
from claude_proxy.config.settings import CredentialSettings
from claude_proxy.credentials.claude_program import USUAL_PLACES, find_program
from claude_proxy.credentials.credential import Credential
from claude_proxy.credentials.spelling import is_login_source
from claude_proxy.doctor.finding import Finding, fail, ok, skip, warn
from claude_proxy.doctor.whole_case import WholeCase
from claude_proxy.supplies import source_named
from claude_proxy.toggle.health import mapping

_WELL = frozenset({"present", "pass-through"})


def usable(case: WholeCase) -> Iterator[Finding]:
    """The daemon's own word goes first; where it has not looked yet, this command does, within `read_timeout`."""
    settings = case.settings
    if settings is None:
        yield skip("the configuration is faulty")
        return
    for name in dict.fromkeys(settings.upstreams[upstream].credential for upstream in case.routed()):
        if name is not None:
            finding = _look(case, settings.credentials[name])._replace(of=name)
            case.stands[name] = finding.mark
            yield finding


def _look(case: WholeCase, credential: CredentialSettings) -> Finding:
    told = mapping(mapping(case.body.get("credentials")).get(credential.name))
    if told.get("state") == "refused":
        command, advice = _another(case, credential)
        # The daemon does not use the refused one again, nor look for another, before the next request.
        command = f"{command} && kill -HUP {case.pid}" if command else ""
        return fail(f"it was refused: {told.get('detail')}", command, advice)
    if told.get("state") in _WELL:
        return ok(_where(told.get("source")))
    found, expired = look_closely(credential, case.environment)
    if found.state in _WELL:
        return _found_here(case, credential, found, told)
    if found.state == "absent":
        return _absent(case, credential)
    if expired is not None:
        return _expired(case, credential, expired)
    locked = sys.platform == "darwin" and "locked" in (found.detail or "")
    advice = f"or name another place in credentials.{credential.name}.sources"
    return fail(f"it cannot be read: {found.detail}", "security unlock-keychain" if locked else "", advice)


def _where(source: object) -> str:
    return "what Claude Code sends itself is handed on" if source == "client" else f"there is one in {source}"


def _found_here(
    case: WholeCase, credential: CredentialSettings, found: CredentialStanding, told: dict[str, Any]
) -> Finding:
    """This command finds one; the daemon may have looked in vain, or in another environment."""
    if told.get("state") not in {"absent", "unusable"}:
        return ok(_where(found.source))
    if found.source is not None and found.source.startswith("env:"):
        says = f"this shell has one in {found.source}, and the daemon, which was started elsewhere, has none"
        return warn(says, *_another(case, credential))
    return warn(f"there is one in {found.source} by now, and the daemon has none yet", f"kill -HUP {case.pid}")


def _another(case: WholeCase, credential: CredentialSettings) -> tuple[str, str]:
    """A command that brings a credential, and what it needs besides."""
    if any(is_login_source(source) for source in credential.sources):
        return case.own("login"), ""
    entry = next((source.removeprefix("keyring:") for source in credential.sources if source[:8] == "keyring:"), "")
    if entry:
        return case.own(f"key set {entry}"), ""
    return "", f"put one into {' or '.join(credential.sources) or 'a source that the configuration names'}"


def _absent(case: WholeCase, credential: CredentialSettings) -> Finding:
    """None at all: no fault where every route that needs it has another target."""
    says = f"there is none in {', '.join(credential.sources) or 'any source'}"
    assert case.settings is not None
    credentials = {name: upstream.credential for name, upstream in case.settings.upstreams.items()}
    routes = [[target.upstream for target in route.targets] for route in case.settings.routes]
    concerned = [names for names in routes if any(credentials[name] == credential.name for name in names)]
    others = [[name for name in names if credentials[name] != credential.name] for names in concerned]
    if all(others):
        instead = ", ".join(dict.fromkeys(names[0] for names in others))
        return skip(f"{says}, so {instead} answers instead")
    return fail(says, *_another(case, credential))


def _expired(case: WholeCase, credential: CredentialSettings, expired: Credential) -> Finding:
    place = source_named(expired.source, credential, case.environment).place
    says = f"the login in {place} has expired or is about to"
    if expired.source not in {"keychain", "file"}:
        return fail(
            f"{says}; whoever writes that file has not renewed it", advice="see why scripts/sync-credentials failed"
        )
    if not credential.refresh.delegate:
        return fail(f"{says}, and `refresh: never` keeps the daemon from renewing it", "claude", "it renews its login")
    name = credential.refresh.command[0]
    program = find_program(name, case.environment)
    if program is not None:
        return ok(f"{says}; with the next request the daemon has {program} renew it")
    where = "" if "/" in name else f" on PATH, nor in {', '.join(USUAL_PLACES)}"
    return fail(
        f"{says}, and {name}, which alone renews it, is not{where or ' there'}",
        advice="install Claude Code (https://code.claude.com/docs/en/setup), or name its path in "
        f"credentials.{credential.name}.refresh_command",
    )
