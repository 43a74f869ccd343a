"""What is worth a line: where this model's requests go, what today has cost, what is left alone."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from claude_proxy.statusline.asking import Told

SEPARATOR = " · "

_USELESS = frozenset({"absent", "refused", "unusable"})  # states of a credential: such a target is passed over
_UNKNOWN = "not read"  # whether there is one only the next request will show
_LEFT_ALONE = "open"


def text(told: Told, model: str) -> str:
    """The line, for the model that is in use; "" where that is not known."""
    parts = ["proxy is ending" if told.health.get("status") == "draining" else "proxy"]
    if model and (upstream := answering(told.health, model)):
        parts[0] += f" → {upstream}"
    parts += [cost] if (cost := spent(told.today)) else []
    return SEPARATOR.join([*parts, *breakers(told.health)])


def answering(health: Mapping[str, Any], model: str) -> str:
    """The upstream that an ordinary request of the main agent would be sent to first, "" where that is not known."""
    upstreams = _mapping(health.get("upstreams"))
    for route in _sequence(health.get("routes")):
        asked = _mapping(route)
        glob = asked.get("model")
        if isinstance(glob, str) and not fnmatchcase(model.lower(), glob.lower()):
            continue
        if asked.get("agent") == "sub" or asked.get("background") is not None:
            continue
        names = [str(_mapping(target).get("upstream")) for target in _sequence(asked.get("to"))]
        able = [name for name in names if _takes(health, _mapping(upstreams.get(name)))]
        first = (able or names or [""])[0]
        unsure = len(able) > 1 and _credential(health, _mapping(upstreams.get(first))) == _UNKNOWN
        return "" if unsure else first
    return ""


def _takes(health: Mapping[str, Any], upstream: Mapping[str, Any]) -> bool:
    left_alone = _mapping(upstream.get("breaker")).get("state") == _LEFT_ALONE
    return not left_alone and _credential(health, upstream) not in _USELESS


def _credential(health: Mapping[str, Any], upstream: Mapping[str, Any]) -> str:
    return str(_mapping(_mapping(health.get("credentials")).get(str(upstream.get("credential")))).get("state"))


def spent(today: Mapping[str, Any]) -> str:
    """Today's money, "" before there is any. List value and bill are never added up: the first is what a plan covers,
    too."""
    listed, billed = _amount(today.get("list_value")), _amount(today.get("billed"))
    if listed is None or not (listed or billed or _amount(today.get("unpriced_tokens"))):
        return ""
    words = f"today ${listed:.2f} at list price"
    if billed:
        words += f", ${billed:.2f} billed"
    return f"{words}, more unpriced" if _amount(today.get("unpriced_tokens")) else words


def breakers(health: Mapping[str, Any]) -> list[str]:
    """What is left alone, and for how long."""
    found = []
    for name, upstream in _mapping(health.get("upstreams")).items():
        breaker = _mapping(_mapping(upstream).get("breaker"))
        state, left = breaker.get("state"), _amount(breaker.get("retry_in_seconds"))
        if isinstance(state, str) and state != "closed":
            found.append(f"{name} {state.replace('_', '-')}{f' {_duration(left)}' if left else ''}")
    return found


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 5400 else f"{seconds / 3600:.0f}h"


def _amount(value: Any) -> float | None:
    """A number, which money is as text: for showing, and never to count with."""
    try:
        amount = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    return amount if math.isfinite(amount) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
