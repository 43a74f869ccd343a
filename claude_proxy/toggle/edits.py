"""What would become of one file: read, edited in memory, and described, before anything is written."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_proxy.toggle import address, settings_text, shell_block
from claude_proxy.toggle.disk import Disk, Found
from claude_proxy.toggle.places import Places, ShellFile
from claude_proxy.toggle.receipt import FileRecord
from claude_proxy.toggle.refusals import InvalidText, OtherGateway
from claude_proxy.toggle.settings_text import BASE_URL, Change, SettingsRecord, SettingsText, as_text
from claude_proxy.toggle.shell_block import FISH, POSIX

_ELSEWHERE = re.compile(rb"^[ \t]*(?:export[ \t]+|set[ \t]+-\w+[ \t]+)?ANTHROPIC_BASE_URL[= ]", re.MULTILINE)


class Line(NamedTuple):
    """A line for the user: what became of something in a file, and in parentheses what was there before."""

    mark: str
    text: str
    note: str = ""


class Edit(NamedTuple):
    """One file: as the user knows it, where it really lies, its bytes before and after (None: no file), what to
    remember of it (None: nothing), and what to tell."""

    path: Path
    target: Path
    before: Found | None
    after: bytes | None
    record: FileRecord | None
    lines: tuple[Line, ...] = ()

    @property
    def changes(self) -> bool:
        return (self.before.data if self.before else None) != self.after


class Editor:
    """Plans edits. Raises ToggleRefused where a file must not be edited."""

    def __init__(self, places: Places, disk: Disk) -> None:
        self._places = places
        self._disk = disk

    def settings(
        self,
        path: Path,
        wanted: Mapping[str, str],
        known: FileRecord | None,
        is_ours: settings_text.IsOurs,
        *,
        take_over: bool,
    ) -> Edit:
        """Our variables put into a settings.json."""
        target, before = self._read(path)
        settings = SettingsText(before.data if before else b"", str(path))
        record = known.settings if known else None
        was_ours = record is not None and settings.raw(BASE_URL) in record.keys.get(BASE_URL, _NEVER).wrote
        if not was_ours:
            self._check_gateway(settings.value(BASE_URL), self._places.shown(path), is_ours, take_over=take_over)
        if settings.value(settings_text.OLDER_HAIKU_MODEL):
            wanted = {name: raw for name, raw in wanted.items() if name != settings_text.HAIKU_MODEL}
        after, remembered, changes = settings_text.put(settings, wanted, record, is_ours)
        # A file that we made is ours to remove while something of ours is in it.
        existed = before is not None and not (known and not known.existed and settings_text.holds(settings, record))
        directories = self._directories(target, known)
        return Edit(
            path,
            target,
            before,
            after.data,
            FileRecord(existed, directories, remembered),
            tuple(self._settings_line(path, change) for change in changes),
        )

    def shell(self, file: ShellFile, block: bytes, known: FileRecord | None, *, take_over: bool) -> Edit:
        """Our block put into a shell's file."""
        target, before = self._read(file.path)
        text, name = before.data if before else b"", str(file.path)
        blocks = shell_block.find(text, name)
        for found in blocks:
            if not self._is_ours(found, file, known):
                line = text.count(b"\n", 0, found.start) + 1
                raise InvalidText(
                    f"{name}:{line}: the block of claude-proxy was changed by hand; nothing was changed. "
                    "Remove its lines, then try again"
                )
        if _ELSEWHERE.search(shell_block.remove(text, blocks)) and not take_over:
            raise OtherGateway(
                f"{name} sets {BASE_URL} itself; nothing was changed. "
                "Remove it there, or put the proxy's after it: proxy-toggle enable --via shell --take-over"
            )
        after = shell_block.put(text, block, name)
        wrote = (known.blocks if known else ()) if blocks else ()
        existed = before is not None and not (known and not known.existed and blocks)
        record = FileRecord(
            existed,
            self._directories(target, known),
            blocks=tuple(dict.fromkeys((*wrote, _text(block)))),
        )
        return Edit(file.path, target, before, after, record, (self._shell_line(file, block),))

    def undo(self, path: Path, known: FileRecord | None, is_ours: settings_text.IsOurs) -> Edit:
        """What is ours taken out of a file of either kind; without a record only what names our own address."""
        shells = {file.path: file for file in self._places.all_shell_files()}
        target, before = self._read(path)
        if before is None:
            return Edit(path, target, None, None, known)
        is_shell = known.settings is None if known else path in shells
        if is_shell:
            file = shells.get(path, ShellFile(path, FISH if path.suffix == ".fish" else POSIX))
            after, lines = self._undo_shell(file, before.data, known)
        else:
            after, lines = self._undo_settings(path, before.data, known, is_ours)
        is_gone = known is not None and not known.existed and not after.strip(b" \t\r\n")
        return Edit(path, target, before, None if is_gone else after, known, tuple(lines))

    def block(self, file: ShellFile, variables: Mapping[str, str]) -> bytes:
        return shell_block.render(file.syntax, str(self._places.flag), str(self._places.home), variables)

    def _undo_settings(
        self, path: Path, data: bytes, known: FileRecord | None, is_ours: settings_text.IsOurs
    ) -> tuple[bytes, list[Line]]:
        record = known.settings if known and known.settings else SettingsRecord()
        after, changes = settings_text.undo(SettingsText(data, str(path)), record, is_ours)
        lines = [self._undone_line(path, change) for change in changes]
        if not record.keys and changes and (left := after.value(settings_text.TOOL_SEARCH)):
            text = f"{self._places.shown(path)}  env.{settings_text.TOOL_SEARCH} = {left}"
            lines.append(Line("·", text, "left: without a receipt nobody knows whose it is"))
        return after.data, lines

    def _undo_shell(self, file: ShellFile, text: bytes, known: FileRecord | None) -> tuple[bytes, list[Line]]:
        blocks = shell_block.find(text, str(file.path))
        ours = [block for block in blocks if self._is_ours(block, file, known)]
        shown = self._places.shown(file.path)
        lines = [Line("✓", f"{shown}  block removed")] if ours else []
        if len(ours) < len(blocks):
            lines.append(Line("·", f"{shown}  block of claude-proxy", "changed by you, kept"))
        return shell_block.remove(text, ours), lines

    def _is_ours(self, block: shell_block.Block, file: ShellFile, known: FileRecord | None) -> bool:
        """Whether a block stands as we wrote it; where nobody remembers, as we would write it."""
        if known is not None:
            return _text(block.text) in known.blocks
        return block.variables.keys() <= _OURS and self.block(file, block.variables) == block.text

    def _check_gateway(self, url: str, shown: str, is_ours: settings_text.IsOurs, *, take_over: bool) -> None:
        if url and not is_ours(url) and not address.is_anthropic(url) and not take_over:
            raise OtherGateway(
                f"{shown} sends Claude Code to {address.shown(url)} already; nothing was changed. "
                "To replace it until `proxy-toggle disable`: proxy-toggle enable --take-over"
            )

    def _read(self, path: Path) -> tuple[Path, Found | None]:
        target = self._disk.target(path)
        return target, self._disk.read(target)

    def _directories(self, target: Path, known: FileRecord | None) -> tuple[str, ...]:
        missing = [str(directory) for directory in self._disk.missing_directories(target)]
        return tuple(dict.fromkeys((*(known.directories if known else ()), *missing)))

    def _settings_line(self, path: Path, change: Change) -> Line:
        text = f"{self._places.shown(path)}  env.{change.key}"
        if not change.ours:
            return Line("·", f"{text} = {as_text(change.now)}", "yours, kept")
        if change.now is None:
            return Line("✓", f"{text} removed", _was(change))
        return Line("✓", f"{text} = {_value(change.key, change.now)}", _was(change))

    def _undone_line(self, path: Path, change: Change) -> Line:
        text = f"{self._places.shown(path)}  env.{change.key}"
        if not change.ours:
            now = "removed" if change.now is None else f"= {_value(change.key, change.now)}"
            return Line("·", f"{text} {now}", "changed by you, kept")
        if change.now is None:
            return Line("✓", f"{text} removed")
        return Line("✓", f"{text} = {_value(change.key, change.now)}", "as before")

    def _shell_line(self, file: ShellFile, block: bytes) -> Line:
        exported = shell_block.Block(0, 0, block).variables
        names = ", ".join(f"{name} = {value}" for name, value in exported.items())
        return Line("✓", f"{self._places.shown(file.path)}  exports {names}")


_OURS = {BASE_URL, settings_text.TOOL_SEARCH, settings_text.HAIKU_MODEL}
_NEVER = settings_text.KeyRecord((), None)


def _value(key: str, raw: str) -> str:
    """A value for a person: of an address nothing that may be secret."""
    text = as_text(raw)
    return address.shown(text) if key == BASE_URL and text else text


def _was(change: Change) -> str:
    if change.before == change.now:
        return "as before"
    if change.before is None or not as_text(change.before):
        return "was: not set"
    return f"was: {_value(change.key, change.before)}"


def _text(block: bytes) -> str:
    return block.decode("utf-8", "surrogateescape")
