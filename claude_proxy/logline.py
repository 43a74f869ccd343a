"""One line for each thing that happens: key=value or JSON, with every known secret taken out.

A line is an event name and fields; nothing is interpolated into prose, so that lines can be searched and counted.
"""

import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# Whatever looks like a credential, for those that nobody told us of: the client's own in an error's words.
_SECRET_SHAPES = r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|[Bb](?:earer|EARER)\s+[A-Za-z0-9._~+/=-]{8,}"  # noqa: S105 - what secrets look like
_SIGNS = ("sk-", "earer", "EARER")  # one of which stands in each of these
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+,*\-\[\]{}()#~]+")
SHORTEST_SECRET = 6
REDACTED = "[redacted]"


def say(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Logs an event with its fields; those that are None are left out."""
    if logger.isEnabledFor(level):
        # Made here: the logger would walk the stack for the place in the code, which no line of ours tells.
        record = logging.LogRecord(logger.name, level, "", 0, event, None, None)
        record.__dict__["fields"] = fields
        logger.handle(record)


class Redactor:
    """Knows the secrets that were read, and takes them out of text."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._signs: tuple[str, ...] = _SIGNS
        self._pattern = re.compile(_SECRET_SHAPES)

    def learn(self, secret: str) -> None:
        """From now on this text is replaced wherever it occurs. Too short to be told from a word: ignored."""
        if len(secret) >= SHORTEST_SECRET and secret not in self._secrets:
            self._secrets.add(secret)
            # Longest first: one may begin another.
            known = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join([*map(re.escape, known), _SECRET_SHAPES]))
            self._signs = (*known, *_SIGNS)

    def clean(self, text: str) -> str:
        for sign in self._signs:
            if sign in text:
                return self._pattern.sub(REDACTED, text)
        return text  # as most do: to look for the signs costs a tenth of what the pattern does


@lru_cache(maxsize=1)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Formatter(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def pairs(self, record: logging.LogRecord) -> dict[str, Any]:
        """What the line says, in order, cleaned: quoting would hide a secret with a quote in it."""
        ours = getattr(record, "fields", None)
        at = f"{_second(int(record.created))}.{int(record.created * 1000) % 1000:03d}Z"
        pairs: dict[str, Any] = {"ts": at, "level": record.levelname.lower()}
        if ours is not None:
            pairs["event"] = record.getMessage()
            pairs |= {name: value for name, value in ours.items() if value is not None}
        else:
            pairs.update(event="log", logger=record.name, message=record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            pairs["exception"] = self.formatException(record.exc_info)
        texts = {name: str(value) for name, value in pairs.items() if not isinstance(value, (bool, int, float))}
        # One look at all of them: few lines have a secret in them, and each look costs as much as its text.
        whole = "\n".join(texts.values())
        if self._redactor.clean(whole) != whole:
            texts = {name: self._redactor.clean(text) for name, text in texts.items()}
        return pairs | texts


class KeyValueFormatter(_Formatter):
    """`key=value` pairs on one line; values with spaces or quotes are quoted as JSON strings."""

    def format(self, record: logging.LogRecord) -> str:
        is_plain = _PLAIN.fullmatch
        return " ".join(
            [
                f"{name}={value if type(value) is int or (type(value) is str and is_plain(value)) else _written(value)}"
                for name, value in self.pairs(record).items()
            ]
        )


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.pairs(record), ensure_ascii=False)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        value = f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    # Quoted as JSON: a line break in a peer's words cannot begin a line of its own.
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
