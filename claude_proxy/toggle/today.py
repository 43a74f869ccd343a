"""What was used today, as the running daemon tells it: `/api/stats/today`, read tolerantly."""

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any

from claude_proxy.toggle.health import fetched, mapping

Today = Mapping[str, Any]

_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
_DOLLARS = re.compile(r"[0-9]{1,12}\.[0-9]{2,12}")


def ask_today(url: str) -> Today | None:
    """None where the daemon does not tell: an older one, one that records nothing, or one that asks for a password.

    No secret is sent: nothing proves that what answers there is the daemon.
    """
    try:
        _, text = fetched(url, "/api/stats/today")
        body = mapping(json.loads(text))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    return body if isinstance(body.get("requests"), int) else None


def today_text(today: Today) -> str:
    """`212 requests · 3.1 M in (94 % cached) · 88 k out · $12.84 at list price`."""
    requests, read = _count(today, "requests"), _count(today, "cache_read")
    into = _count(today, "input_tokens") + read + _count(today, "cache_write")
    cached = f" ({round(100 * read / into)} % cached)" if into else ""
    unpriced, billed = _count(today, "unpriced_tokens"), _money(today, "billed")
    parts = [
        f"{requests} request{'' if requests == 1 else 's'}",
        f"{_shown(into)} in{cached}" if requests else "",
        f"{_shown(_count(today, 'output_tokens'))} out" if requests else "",
        f"${_money(today, 'list_value')} at list price" if requests else "",
        f"${billed} billed" if billed != "0.00" else "",
        f"{_shown(unpriced)} tokens without a price" if unpriced else "",
    ]
    return " · ".join(part for part in parts if part)


def _count(today: Today, name: str) -> int:
    value = today.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _money(today: Today, name: str) -> str:
    """In dollars and cents, not rounded up."""
    text = today.get(name)
    found = _DOLLARS.fullmatch(text) if isinstance(text, str) else None
    return found[0][: found[0].index(".") + 3] if found else "0.00"


def _shown(number: int) -> str:
    """`88 k`, `3.1 M`."""
    for unit, letter in _UNITS:
        if number >= unit:
            value = number / unit
            return f"{value:.1f} {letter}" if value < 9.95 else f"{value:.0f} {letter}"
    return str(number)
