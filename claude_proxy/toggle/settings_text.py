"""Claude Code's settings.json as text: our keys in its `env` block, put in and taken out again.

Both directions are pure. What a later removal must know to leave the very bytes that were there before stands in a
`SettingsRecord`, which the receipt keeps. A key counts as ours only while it has a value that we wrote.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from claude_proxy.toggle import json_text
from claude_proxy.toggle.json_text import Lines, NotJson, parse_value, read_object
from claude_proxy.toggle.refusals import InvalidText

BASE_URL = "ANTHROPIC_BASE_URL"
TOOL_SEARCH = "ENABLE_TOOL_SEARCH"
HAIKU_MODEL = "ANTHROPIC_DEFAULT_HAIKU_MODEL"
OLDER_HAIKU_MODEL = "ANTHROPIC_SMALL_FAST_MODEL"
"""Deprecated, and still says which model background calls use."""

_BLANKS = " \t\r\n"
_BOM = "\ufeff"  # Claude Code reads a file that begins with one

IsOurs = Callable[[str], bool]
"""Whether a base URL is that of this proxy."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What we wrote as a key's value, each as JSON: several, since the last write may not have happened.

    `before` is the JSON that stood there, None where the key was absent.
    """

    wrote: tuple[str, ...]
    before: str | None


@dataclass(frozen=True, slots=True)
class SettingsRecord:
    """What the removal must know: our keys, and what stood within the braces that were empty before.

    `blank` is the whole text where it held nothing ("" for no file), `root` and `env` the blanks within an object
    without members; None where that was not so. `made_env`: there was no `env` block.
    """

    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    blank: str | None = None
    root: str | None = None
    env: str | None = None
    made_env: bool = False


class Change(NamedTuple):
    """What became of one key: its JSON before and now, None where it is absent. `ours`: the one of the two that the
    user did not write is ours; False for what was left because the user wrote it."""

    key: str
    before: str | None
    now: str | None
    ours: bool


class SettingsText:
    """One settings.json, taken apart. Raises InvalidText, naming `name`, where it is not what it should be."""

    def __init__(self, data: bytes, name: str) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise InvalidText(f"{name}:{line}: this is not UTF-8 text; nothing was changed") from None
        self.name = name
        self.mark = _BOM if text.startswith(_BOM) else ""
        self.text = text.removeprefix(_BOM)
        self.blank = not self.text.strip(_BLANKS)
        try:
            self.root = None if self.blank else read_object(self.text)
            self.env_member = self.root.find("env") if self.root else None
            self.env = read_object(self.text, self.env_member.value) if self.env_member else None
        except NotJson as error:
            raise InvalidText(
                f"{name}:{error.line}:{error.column}: {error.what}; nothing was changed. "
                "Claude Code cannot read these settings either: mend them, then try again"
            ) from None

    @property
    def data(self) -> bytes:
        return (self.mark + self.text).encode()

    def with_text(self, text: str) -> "SettingsText":
        return SettingsText((self.mark + text).encode(), self.name)

    def raw(self, key: str) -> str | None:
        """The JSON of a variable in `env`, None where it is absent."""
        member = self.env.find(key) if self.env else None
        return self.env.raw(member) if self.env and member else None

    def value(self, key: str) -> str:
        """A variable in `env` as Claude Code gets it; "" where it is absent or says nothing."""
        return as_text(self.raw(key))

    def has(self, key: str) -> bool:
        """Whether there is such a setting beside `env`."""
        return self.root is not None and self.root.find(key) is not None


def as_text(raw: str | None) -> str:
    """A JSON value as an environment variable; "" for None."""
    value: Any = "" if raw is None else parse_value(raw)
    return value if isinstance(value, str) else str(raw)


def put(
    settings: SettingsText, wanted: Mapping[str, str], known: SettingsRecord | None, is_ours: IsOurs
) -> tuple[SettingsText, SettingsRecord, list[Change]]:
    """The settings with these variables (as JSON), what to remember of it, and what became of each.

    The base URL replaces whatever stands there; another variable that the user has set is left. `known` is what was
    remembered of an earlier time: what it says of the text before holds while a key of ours is still there.
    """
    was = known.keys if known else {}
    record = replace(known, keys={}) if known and holds(settings, known) else _before(settings)
    keys: dict[str, KeyRecord] = {}
    changes = []
    for key, raw in wanted.items():
        now, earlier = settings.raw(key), was.get(key)
        wrote: tuple[str, ...] = ()
        before = now
        if earlier is not None and now in earlier.wrote:
            wrote, before = earlier.wrote, earlier.before
        elif key == BASE_URL and is_ours(as_text(now)):
            before = None  # by the user's own hand: switching off means that it goes as well
        elif key != BASE_URL and as_text(now):
            changes.append(Change(key, now, now, ours=False))
            continue
        keys[key] = KeyRecord(tuple(dict.fromkeys((*wrote, raw))), before)
        if now != raw:
            settings = _with(settings, key, raw)
        changes.append(Change(key, now, raw, ours=True))
    for key, earlier in was.items():
        now = settings.raw(key)
        if key not in wanted and now in earlier.wrote:
            # Ours from an earlier time and not wanted any more.
            settings = _without(settings, key, earlier.before, record)
            changes.append(Change(key, now, earlier.before, ours=True))
    return settings, replace(record, keys=keys), changes


def holds(settings: SettingsText, known: SettingsRecord | None) -> bool:
    """Whether something of ours stands there as we wrote it."""
    return known is not None and any(settings.raw(key) in record.wrote for key, record in known.keys.items())


def undo(settings: SettingsText, known: SettingsRecord, is_ours: IsOurs) -> tuple[SettingsText, list[Change]]:
    """The settings without what we wrote, and what became of each key of ours."""
    changes = []
    for key in reversed(dict.fromkeys((BASE_URL, *known.keys))):
        record, now = known.keys.get(key), settings.raw(key)
        before = record.before if record else None
        if now is not None and ((record and now in record.wrote) or (key == BASE_URL and is_ours(as_text(now)))):
            settings = _without(settings, key, before, known)
            changes.append(Change(key, now, before, ours=True))
        elif record and now != before:
            changes.append(Change(key, now, now, ours=False))
    return settings, changes[::-1]


def _before(settings: SettingsText) -> SettingsRecord:
    root, env = settings.root, settings.env
    return SettingsRecord(
        blank=settings.text if settings.blank else None,
        root=root.inner if root and not root.members else None,
        env=env.inner if env and not env.members else None,
        made_env=env is None,
    )


def _with(settings: SettingsText, key: str, raw: str) -> SettingsText:
    if settings.blank:
        settings = settings.with_text("{}\n")
    if settings.env is None:
        assert settings.root is not None
        settings = settings.with_text(json_text.append(settings.root, "env", "{}", Lines.of_file(settings.text)))
    assert settings.root is not None
    assert settings.env is not None
    assert settings.env_member is not None
    if member := settings.env.find(key):
        return settings.with_text(json_text.replace(settings.env, member, raw))
    lines = Lines.within(settings.root, settings.root.gap(settings.env_member))
    return settings.with_text(json_text.append(settings.env, key, raw, lines))


def _without(settings: SettingsText, key: str, before: str | None, known: SettingsRecord) -> SettingsText:
    """Of a key that is there."""
    assert settings.env is not None
    member = settings.env.find(key)
    assert member is not None
    if before is not None:
        return settings.with_text(json_text.replace(settings.env, member, before))
    settings = settings.with_text(json_text.remove(settings.env, member, known.env or ""))
    if (settings.env and settings.env.members) or not known.made_env:
        return settings
    assert settings.root is not None
    assert settings.env_member is not None
    settings = settings.with_text(json_text.remove(settings.root, settings.env_member, known.root or ""))
    is_bare = settings.root is not None and not settings.root.members
    return settings.with_text(known.blank) if known.blank is not None and is_bare else settings
