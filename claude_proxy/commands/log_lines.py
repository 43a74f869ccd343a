"""The daemon's log line by line: what it says, which are wanted, and how they are shown."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from claude_proxy.logline import Redactor

_PAIR = re.compile(r'([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_ID_BEGINS = "req_cp_"
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_CONTROLS = dict.fromkeys((*range(9), *range(10, 32), *range(127, 160)))  # all that would steer the terminal


class Wanted(NamedTuple):
    """Which lines: those of one request, by the beginning of its id; those since a Unix time. None: all."""

    request: str | None = None
    since: float | None = None


def chosen(lines: Iterable[str], wanted: Wanted) -> Iterator[str]:
    """The lines that are wanted, cleaned. One that tells no time, as of a crash, belongs to the line before it."""
    redactor = Redactor()
    late_enough = wanted.since is None
    for line in lines:
        told = fields(line) if wanted.request or wanted.since is not None else {}
        if wanted.since is not None and (at := _time(told)) is not None:
            late_enough = at >= wanted.since
        if late_enough and (wanted.request is None or _is_of(told, wanted.request)):
            # Cleaned when it was written; but other programs write to the same place.
            yield redactor.clean(line).translate(_CONTROLS)


def fields(line: str) -> dict[str, Any]:
    """What a line says, in either of the log's formats; {} for one that is not the daemon's own."""
    if line.startswith("{"):
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}
    told, at = {}, 0
    while match := _PAIR.match(line, at):
        told[match[1]] = _value(match[1], match[2])
        at = match.end()
    return told if at == len(line) else {}


def as_json(line: str) -> str:
    """A line as `log.format: json` has it, with the text of another program under `message`."""
    return json.dumps(fields(line) or {"message": line}, ensure_ascii=False).translate(_CONTROLS)


def _value(name: str, text: str) -> Any:
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if text in {"true", "false"}:
        return text == "true"
    # An id of digits alone is a text all the same.
    return json.loads(text) if name != "id" and _NUMBER.fullmatch(text) else text


def _is_of(told: dict[str, Any], request: str) -> bool:
    its = str(told.get("id", ""))
    return bool(its) and (its.startswith(request) or its.removeprefix(_ID_BEGINS).startswith(request))


def _time(told: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(told.get("ts"))).timestamp()
    except ValueError:
        return None


def moment(text: str, now: datetime) -> datetime:
    """A moment as a person writes it: `10m` before now, `today`, `yesterday`, `14:30`, `2026-01-31 14:30`, with or
    without a time zone. `now` has one, which is meant where none is given. Raises ValueError."""
    words = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if words in {"today", "yesterday"}:
        return midnight - timedelta(days=words == "yesterday")
    if match := _DURATION.fullmatch(words):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", words):
        hour, minute, *second = map(int, words.split(":"))
        return midnight.replace(hour=hour, minute=minute, second=second[0] if second else 0)
    found = datetime.fromisoformat(text.strip())
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)
