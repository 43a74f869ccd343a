"""How things stand, as lines for a person."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from claude_proxy.commands.standing import (
    API_KEY,
    CLAUDE_CODE,
    BreakerStanding,
    CredentialStanding,
    DaemonStanding,
    LoginStanding,
    Standing,
)
from claude_proxy.credentials.spelling import SETUP_TOKEN

_BETWEEN = " · "
_RENEWERS = {
    "claude-code": "Claude Code renews it",
    "daemon": "the daemon has Claude Code renew it",
    "writer": "whoever writes that file renews it",
    "nobody": "nobody renews it",
}


def status_lines(standing: Standing) -> Iterator[str]:
    """One line for each thing; what comes from elsewhere cannot steer the terminal."""
    for line in _lines(standing):
        yield "".join(character if character.isprintable() else "?" for character in line)


def remedies(standing: Standing) -> Iterator[str]:
    """What to do, each with its command."""
    daemon = standing.daemon
    if daemon.state == "down":
        todo = f"Nothing answers for claude-proxy on {daemon.url}: start it with `claude-proxy serve`."
        if daemon.port_taken:
            port = daemon.url.rpartition(":")[2]
            todo = (
                f"Another program has the port of claude-proxy: see which, lsof -i :{port}; or set another listen.port."
            )
        yield f"{todo} Credentials above are what this command found itself."
    elif daemon.version != daemon.command_version:
        told = daemon.version or "unknown"
        yield f"The daemon is of version {told}, this command of {daemon.command_version}: restart the daemon."
    for login in standing.logins:
        if login.state == "absent":
            yield "There is no login: `claude-proxy login`, or an API key in REAL_ANTHROPIC_API_KEY."
        elif not login.usable and login.kind == SETUP_TOKEN:
            yield "Make another setup-token: `claude setup-token`, then `claude-proxy login --setup-token`."
        elif not login.usable:
            yield "Renew the login: run `claude` once, or `claude-proxy login`."


def _lines(standing: Standing) -> Iterator[str]:
    yield _row("Daemon", _daemon(standing.daemon))
    for login in standing.logins:
        name = f"{login.credential}: " if len(standing.logins) > 1 else ""
        yield _row("Login", name + _login(login))
        if login.probe is not None:
            yield from _probe(login.probe)
    for upstream, quota in standing.quota.items():
        yield _row("Quota", f"{upstream}: {_quota(quota)}")
    if not standing.quota and standing.daemon.state != "down" and any(x.kind != API_KEY for x in standing.logins):
        yield _row("Quota", "not known yet; Anthropic states it with each answer")
    for breaker in standing.breakers:
        yield _row("Breaker", _breaker(breaker))
    for key in standing.keys:
        yield _row("Key", _key(key))


def _row(label: str, text: str) -> str:
    return f"{label:<10}{text}"


def _daemon(daemon: DaemonStanding) -> str:
    if daemon.state == "down":
        return f"down on {daemon.url}: {daemon.problem}"
    parts = [daemon.state, daemon.url]
    if daemon.pid is not None:
        parts.append(f"pid {daemon.pid}")
    if daemon.uptime_seconds is not None:
        parts.append(f"for {span(daemon.uptime_seconds)}")
    if daemon.in_flight is not None:
        parts.append(f"{daemon.in_flight} in flight")
    return _BETWEEN.join([*parts, f"version {daemon.version or 'unknown'}"])


def _login(login: LoginStanding) -> str:
    parts = [_what(login)]
    if login.plan is not None:
        tier = f" ({login.plan.rate_limit_tier})" if login.plan.rate_limit_tier else ""
        parts.append(f"plan {login.plan.subscription or 'unknown'}{tier}")
    if login.account is not None:
        account = login.account
        parts += [text for text in (account.email or account.name, account.organization) if text]
    if login.expires_at is not None:
        left = login.expires_at - time.time()
        parts.append(f"expires in {span(left)}" if left > 0 else f"expired {span(-left)} ago")
    if login.kind == API_KEY:
        parts.append("no plan: each request is billed")
    elif login.kind == SETUP_TOKEN:
        parts.append("good for a year, and then nobody renews it")
    elif login.kind == CLAUDE_CODE and login.source == "client" and login.plan is None:
        parts.append("none is stored on this machine")
    elif login.refreshed_by is not None:
        parts.append(_RENEWERS[login.refreshed_by])
    if last := _last_refresh(login.last_refresh):
        parts.append(last)
    if login.behind:
        parts.append(f"for clients that bring none: {', '.join(login.behind)}")
    if login.detail and login.state != "pass-through":
        parts.append(login.detail)
    return _BETWEEN.join(parts)


def _last_refresh(last: object) -> str:
    """When the daemon last asked `claude` to renew the login, and what came of it."""
    if not isinstance(last, dict) or not isinstance(last.get("at"), (int, float)):
        return ""
    return f"asked for that {span(max(0.0, time.time() - last['at']))} ago: {last.get('outcome') or 'no word of it'}"


def _what(login: LoginStanding) -> str:
    match login.kind:
        case None:
            return {"absent": "none", "not read": "not looked up yet"}.get(login.state, login.state)
        case "claude-code" if login.source == "client":
            return "Claude Code's own, handed on as it comes"
        case "claude-code":
            kind = f"Claude Code's own from {login.source}"
        case "setup-token":
            kind = f"setup-token from {login.source}"
        case _:
            kind = f"API key from {login.source}"
    return kind if login.state == "present" else f"{kind}: {login.state}"


def _probe(probe: Mapping[str, Any]) -> Iterator[str]:
    for name in ("problem", "profile", "usage"):
        if name in probe:
            said = probe[name]
            yield _row("Probe", said if isinstance(said, str) else f"{name}: {_endpoint(name, said)}")


def _endpoint(name: str, said: Mapping[str, Any]) -> str:
    if said.get("status") != 200:
        after = f"; ask again in {span(said['retry_after'])}" if said.get("retry_after") is not None else ""
        return f"{said.get('message')}{after}"
    if name == "usage":
        windows = said.get("windows") or {}
        return _BETWEEN.join(_window(name, window, 1.0) for name, window in windows.items()) or "no window is stated"
    account, organization = said.get("account") or {}, said.get("organization") or {}
    parts = [account.get("email"), account.get("display_name"), organization.get("organization_type")]
    parts.append(organization.get("rate_limit_tier"))
    return _BETWEEN.join(str(part) for part in parts if part) or "nothing is stated"


def _quota(quota: Mapping[str, Any]) -> str:
    windows = quota.get("windows")
    parts = [_window(name, window, 100.0) for name, window in windows.items()] if isinstance(windows, dict) else []
    overage = quota.get("overage")
    if isinstance(overage, dict):
        notes = [overage.get("status"), overage.get("disabled_reason"), "in use" if overage.get("in_use") else None]
        parts.append(f"overage {', '.join(str(note) for note in notes if note) or 'unknown'}")
    other = quota.get("other")
    parts += [f"{name} {value}" for name, value in other.items()] if isinstance(other, dict) else []
    parts.append(str(quota.get("status") or "status unknown"))
    age = quota.get("age_seconds")
    if isinstance(age, (int, float)):
        parts.append(f"read {span(age)} ago")
    return _BETWEEN.join(parts)


def _window(name: str, window: object, whole: float) -> str:
    """One window; its utilisation counts from 0 to 1 in headers (`whole` 100) and to 100 in the endpoint (1)."""
    if not isinstance(window, dict):
        return name
    used = window.get("utilization")
    notes = [str(window["status"])] if window.get("status") not in {None, "allowed"} else []
    if resets := moment(window.get("resets_at")):
        notes.append(f"resets {resets}")
    share = f" {used * whole:.0f} %" if isinstance(used, (int, float)) else ""
    return f"{name}{share}" + (f" ({', '.join(notes)})" if notes else "")


def _breaker(breaker: BreakerStanding) -> str:
    wait = f"; next try in {span(breaker.retry_in_seconds)}" if breaker.retry_in_seconds else ""
    of = {"api": "", "model": f" for {breaker.model or 'a model'}"}.get(breaker.of, f" for a {breaker.of}")
    state = breaker.state.replace("_", "-")
    return f"{breaker.upstream} is {state}{of}: {breaker.reason or 'no reason is known'}{wait}"


def _key(key: CredentialStanding) -> str:
    match key.state:
        case "present":
            return f"{key.credential}: present from {key.source}"
        case "absent":
            return f"{key.credential}: missing, {key.detail or 'it is nowhere'}"
        case "not read":
            return f"{key.credential}: not looked up yet, {key.detail or 'no request has needed it'}"
    return f"{key.credential}: {key.state}" + (f", {key.detail}" if key.detail else "")


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = int(seconds)
    for unit, name, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {small}"
    return f"{whole} s"


def moment(value: object) -> str:
    """A time (Unix seconds, or RFC 3339) on the clock of this machine; "" where it is none."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value).astimezone()
        elif isinstance(value, (int, float)):
            at = datetime.fromtimestamp(value).astimezone()
        else:
            return ""
    except (ValueError, OverflowError, OSError):
        return ""
    now = datetime.now().astimezone()
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at:%a %H:%M}" if abs((at - now).days) < 6 else f"{at:%Y-%m-%d %H:%M}"
