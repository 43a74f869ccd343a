"""A status in words, as a person reads it: what is worst comes first."""

import re
import time
from collections.abc import Iterator
from typing import Any

from claude_proxy.toggle.address import netloc
from claude_proxy.toggle.health import Health, Silence, mapping
from claude_proxy.toggle.status import Status, UpstreamStatus, upstreams
from claude_proxy.toggle.today import today_text

_NAMES = {"claude": "Claude", "minimax": "MiniMax", "claude-haiku-*": "Haiku"}
_WINDOW = re.compile(r"(\d+)([hd])(?:_(\w+))?")
_DAY, _WEEK = 86400.0, 604800.0  # seconds


def lines(status: Status, now: float) -> Iterator[str]:
    """`now` is Unix time; times of day are local."""
    routing, health = status.routing, status.health
    where = netloc(routing.url)
    if isinstance(health, Silence) and routing.on:
        nobody = f"{health.reason} ({where})" if health.taken else f"nothing answers on {where}"
        yield (
            f"Routing on, but {nobody}: claude will hang. "
            "Start: claude-proxy service start · or go direct: proxy-toggle disable"
        )
    if routing.on:
        yield _line("Routing", "on", f"via {', '.join(routing.via)}")
    elif routing.elsewhere:
        yield _line("Routing", "off", f"{routing.elsewhere_by} sends Claude Code to {routing.elsewhere}")
    else:
        yield _line("Routing", "off", "switch it on: proxy-toggle enable")
    if isinstance(health, Silence):
        start = "" if routing.on or health.taken else " · start it: claude-proxy service start"
        yield _line("Daemon", "down", f"{where}: {health.reason}{start}")
    else:
        yield _daemon(status, health, where)
        for upstream in upstreams(health):
            yield _line(_name(upstream.name), *_upstream(upstream, now))
    if status.today is not None:
        yield f"{'Today':<9} {today_text(status.today)}"
    if status.features_off:
        yield _line("Features", "off", " · ".join(status.features_off))
    if status.stale_sessions == 1:
        yield "! 1 running session was started before routing was on: restart it"
    elif status.stale_sessions:
        yield f"! {status.stale_sessions} running sessions were started before routing was on: restart them"
    if isinstance(health, Health) and health.version != status.version:
        yield f"! the daemon is version {health.version}, this command {status.version}: restart the daemon"
    for note in (*routing.troubles, *routing.notes, *status.warnings):
        yield f"! {note}"


def duration(seconds: float) -> str:
    """`35 s`, `14 m`, `2 h 14 m`, `3 d 2 h`."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m" if minutes else f"{whole} s"


def _line(label: str, state: str, text: str) -> str:
    return f"{label:<9} {state:<4} {text}".rstrip()


def _name(upstream: str) -> str:
    return _NAMES.get(upstream, upstream)


def _daemon(status: Status, health: Health, where: str) -> str:
    body = health.body
    parts = [
        f"pid {body['pid']}" if "pid" in body else "",
        duration(_number(body.get("uptime_seconds"))),
        f"{round(status.memory / 1e6)} MB" if status.memory else "",
        where,
        f"{int(_number(body.get('in_flight')))} in flight",
        "it lets running answers finish and then ends" if health.draining else "",
    ]
    return _line("Daemon", "ends" if health.draining else "up", " · ".join(part for part in parts if part))


def _upstream(upstream: UpstreamStatus, now: float) -> tuple[str, str]:
    """Its state in a word, and the rest."""
    state, detail = upstream.credential.get("state"), upstream.credential.get("detail") or ""
    if upstream.parts:
        told = "; ".join(_part(part) for part in upstream.parts)
        all_of_it = any(part.get("of") != "model" for part in upstream.parts)
        return "OPEN", f"{told}{_meanwhile(upstream, ' meanwhile') if all_of_it else ''}"
    if not upstream.has_credential:
        word = "--" if state == "absent" else "BAD"
        return word, f"no usable key: {detail or state}{_meanwhile(upstream, '')}"
    told = _quota(upstream.quota, now) or _credential(upstream.credential)
    waiting = _number(upstream.slots.get("waiting"))
    if waiting:
        told += f" · all {upstream.slots.get('limit')} places taken, {int(waiting)} wait"
    return "SPENT" if upstream.spent else "ok", told


def _part(part: dict[str, Any]) -> str:
    concerns = {"api": "", "credential": " of its credential"}.get(str(part.get("of")), f" for {part.get('model')}")
    left = part.get("retry_in_seconds")
    if part.get("state") == "half_open":
        when = ", the next request tries it"
    else:
        when = f", next try in {duration(_number(left))}" if left else ""
    return f"breaker{concerns}: {part.get('reason') or 'no reason told'}{when}"


def _meanwhile(upstream: UpstreamStatus, word: str) -> str:
    told = [
        f"{_name(what)} goes to {_name(other)}{word}" if other else "nobody answers instead"
        for what, other in upstream.instead
    ]
    return "".join(f"; {text}" for text in dict.fromkeys(told))


def _credential(credential: dict[str, Any]) -> str:
    match credential.get("state"):
        case "pass-through":
            return "your own login, passed through"
        case "present":
            return f"with {credential.get('source')}"
        case "not read":
            return "its key has not been looked for yet"
        case _:
            return ""


def _quota(quota: dict[str, Any], now: float) -> str:
    windows = mapping(quota.get("windows"))
    told = [_window(name, mapping(windows[name]), now) for name in sorted(windows, key=_order)]
    told = [text for text in told if text]
    if not told:
        return ""
    age = quota.get("age_seconds")
    return " · ".join(["window " + told[0], *told[1:], *([f"read {duration(age)} ago"] if age is not None else [])])


def _order(name: str) -> tuple[int, str]:
    match = _WINDOW.fullmatch(name)
    return (int(match[1]) * (24 if match[2] == "d" else 1), match[3] or "") if match else (1 << 20, name)


def _window(name: str, window: dict[str, Any], now: float) -> str:
    used, reset = window.get("utilization"), window.get("resets_at")
    if used is None:
        return ""
    match = _WINDOW.fullmatch(name)
    shown = " ".join(part for part in match.groups() if part) if match else name
    return f"{shown} {round(_number(used) * 100)} %" + (f" (resets {_moment(_number(reset), now)})" if reset else "")


def _moment(at: float, now: float) -> str:
    """A time of day, with the day where it is not today, and the date where that is further away."""
    then, today = time.localtime(at), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%a %H:%M" if 0 <= at - now < _WEEK - _DAY / 2 else "%Y-%m-%d %H:%M", then)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
