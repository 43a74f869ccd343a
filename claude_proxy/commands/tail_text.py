"""One line for a request that has ended, in 80 columns."""

import re
import time
from collections.abc import Mapping
from typing import Any

HEADER = f"{'time':<8} {'model → upstream':<31} {'':>4} {'first':>5} {'total':>5} {'in+cached→out':>14} {'list':>7}"
"""What stands in each column."""

_WHAT = 31  # columns for the model and who answered
_UPSTREAM = 14
_LEAST = 0.0001  # dollars
_DATE = re.compile(r"-20\d{6}$")
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))
_ENDS = {"broken": "cut", "client_gone": "left"}


def line(data: Mapping[str, Any]) -> str:
    """Of the data of an `end` event. What it does not tell is `-`."""
    at = _number(data.get("time"))
    clock = time.strftime("%H:%M:%S", time.localtime(at)) if at is not None and 0 <= at < 1 << 33 else "-"
    status = _ENDS.get(str(data.get("end")), str(data.get("status") or "-"))
    cached = f"+{_count(data.get('cache_read'))}" if _number(data.get("cache_read")) else ""
    tokens = f"{_count(data.get('input_tokens'))}{cached}→{_count(data.get('output_tokens'))}"
    told = (
        f"{clock:<8} {_what(data):<{_WHAT}} {status[:4]:>4} {_seconds(data.get('first_byte_ms')):>5} "
        f"{_seconds(data.get('total_ms')):>5} {tokens:>14} {_money(data.get('list_value')):>7}"
    )
    return told.translate(_CONTROLS)


def went_wrong(data: Mapping[str, Any]) -> bool:
    """Whether the client got anything but a whole answer."""
    return data.get("end") != "complete" or (_number(data.get("status")) or 0) >= 400


def _what(data: Mapping[str, Any]) -> str:
    attempts = _number(data.get("attempts")) or 0
    who = _cut(str(data.get("upstream") or "-"), _UPSTREAM) + (f" x{attempts:.0f}" if attempts > 1 else "")
    model = _DATE.sub("", str(data.get("model") or "-")).removeprefix("claude-")
    return f"{_cut(model, _WHAT - len(who) - 3)} → {who}"[:_WHAT]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _seconds(value: Any) -> str:
    milliseconds = _number(value)
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.2f}s"
    return f"{seconds:.1f}s" if seconds < 100 else f"{min(seconds / 60, 9999):.0f}m"


def _count(value: Any) -> str:
    number = _number(value)
    if number is None:
        return "-"
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.0f}{unit}" if not unit or number >= 9.95 else f"{number:.1f}{unit}"
        number /= 1000
    return f"{min(number, 999):.0f}G"


def _money(value: Any) -> str:
    """US dollars, which come as text; `-` is no price, and never nothing."""
    dollars = _number(value)
    if dollars is None:
        return "-"
    if 0 < dollars < _LEAST:
        return "<0.01¢"
    if dollars >= 100:
        return f"${min(dollars, 99_999):.0f}"
    return f"${dollars:.2f}" if dollars >= 1 else f"${dollars:.4f}"


def _number(value: Any) -> float | None:
    """For showing, and never to count with."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None
