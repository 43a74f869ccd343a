"""The switch itself: routing on in one place, and off wherever it is on.

Everything is planned before anything is written, so that a refusal leaves all as it was. On: the receipt first, then
the files, the flag last. Off: the flag first, then the files, the receipt last. Whatever interrupts this, the next
turn of the switch, either way, finds in the receipt what it needs.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from claude_proxy.toggle import address
from claude_proxy.toggle.disk import Disk, glance
from claude_proxy.toggle.edits import Edit, Editor, Line
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.receipt import FileRecord, Receipt, read_receipt
from claude_proxy.toggle.refusals import FileRefused, OtherGateway, ToggleRefused
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, SettingsText
from claude_proxy.toggle.shell_block import BEGIN, Block


class Via(StrEnum):
    """Where routing is switched on."""

    SETTINGS = "settings"
    SHELL = "shell"
    NONE = "none"


class Wish(NamedTuple):
    """What `enable` is to bring about. `variables` are what Claude Code is to be given; `haiku_unknown`: whether
    Haiku's model belongs to them could not be found out, so what is there stays."""

    via: Via
    url: str
    variables: Mapping[str, str]
    haiku_unknown: bool = False
    take_over: bool = False


class Outcome(NamedTuple):
    """What was done, file by file, and what could not be done. `since`: when routing had been switched on before."""

    lines: tuple[Line, ...]
    changed: bool
    failures: tuple[str, ...] = ()
    since: float | None = None


class Switch:
    """Turns routing on and off for one user."""

    def __init__(
        self, places: Places, disk: Disk, environment: Mapping[str, str], clock: Callable[[], float] = time.time
    ) -> None:
        self._places = places
        self._disk = disk
        self._environment = environment
        self._editor = Editor(places, disk)
        self._clock = clock

    def receipt(self) -> Receipt | None:
        """What is remembered of the last time, or None where nothing is, or nothing that can be read."""
        found = self._disk.read(self._places.receipt)
        return read_receipt(found.data if found else None)

    def enable(self, wish: Wish, *, dry_run: bool = False) -> Outcome:
        """Switches on. Raises ToggleRefused; then nothing was changed, or what a system call left undone."""
        if dry_run:
            return self._enable(wish, self.receipt(), dry_run=True)
        with self._disk.locked(self._places.state):
            return self._enable(wish, self.receipt(), dry_run=False)

    def disable(self, url: str, *, dry_run: bool = False) -> Outcome:
        """Switches off; `url` is our own address, as far as it is known. Says in `failures` what could not be undone:
        one file that resists keeps no other from being restored. Raises FileRefused for our own files."""
        if dry_run or not self._places.state.exists():
            return self._disable(url, self._receipt_to_undo(), dry_run=dry_run)
        with self._disk.locked(self._places.state):
            return self._disable(url, self._receipt_to_undo(), dry_run=False)

    def _receipt_to_undo(self) -> Receipt | None:
        """A receipt that is there and cannot be read is not passed over: what it alone knows would be lost."""
        try:
            return self.receipt()
        except FileRefused as refused:
            raise FileRefused(
                f"{refused}. Nothing was changed. Without this receipt only our own address can be taken out; "
                f"to have it so: rm {self._places.receipt}"
            ) from None

    def _enable(self, wish: Wish, receipt: Receipt | None, *, dry_run: bool) -> Outcome:
        known = dict(receipt.files) if receipt else {}
        is_ours = _is_ours(wish.url, receipt)
        self.check_others(wish, receipt)
        edits = self._put(wish, known, is_ours)
        leaving = _once(
            [self._editor.undo(path, known.get(path), is_ours) for path in self._other_places(wish.via, known)]
        )
        records = {edit.path: edit.record for edit in edits if edit.record is not None}
        same_kind = {path: record for path, record in known.items() if path not in {edit.path for edit in leaving}}
        after = Receipt(wish.url, receipt.at if receipt else self._clock(), {**same_kind, **records})
        lines = tuple(line for edit in (*leaving, *edits) for line in edit.lines)
        if any(edit.changes for edit in (*leaving, *edits)) or not self._places.flag.exists():
            after = replace(after, at=self._clock())
        elif receipt == after:
            return Outcome(lines, changed=False, since=after.at)
        if not dry_run:
            self._keep(replace(after, files={**known, **records}))
            for edit in (*leaving, *edits):
                self._apply(edit)
            self._keep(after)
            self._write(self._places.flag, f"{wish.url}\n".encode())
        return Outcome(lines, changed=True, since=receipt.at if receipt else None)

    def _put(self, wish: Wish, known: Mapping[Path, FileRecord], is_ours: Callable[[str], bool]) -> list[Edit]:
        if wish.via is Via.SHELL:
            files = self._places.shell_files()
            if not files:
                raise ToggleRefused("no zsh, bash or fish is used here; use proxy-toggle enable, or --via none")
            variables = {**wish.variables, **_haiku_before(known)} if wish.haiku_unknown else wish.variables
            edits = [
                self._editor.shell(
                    file, self._editor.block(file, variables), known.get(file.path), take_over=wish.take_over
                )
                for file in files
            ]
            return _once(edits)
        path = self._places.settings
        wanted = {name: json.dumps(value) for name, value in wish.variables.items()}
        record = known.get(path)
        if wish.haiku_unknown and record and record.settings and (its := record.settings.keys.get(HAIKU_MODEL)):
            wanted[HAIKU_MODEL] = its.wrote[-1]
        return [self._editor.settings(path, wanted, record, is_ours, take_over=wish.take_over)]

    def check_others(self, wish: Wish, receipt: Receipt | None = None) -> None:
        """For the shells: raises OtherGateway where something else would win over them, or is there already."""
        is_ours = _is_ours(wish.url, receipt)
        if wish.via is Via.SETTINGS:
            return
        path = self._places.settings
        left = self._editor.undo(path, receipt.files.get(path) if receipt else None, is_ours).after
        in_settings = SettingsText(left or b"", str(path)).value(BASE_URL)
        if in_settings and not is_ours(in_settings) and not address.is_anthropic(in_settings):
            raise OtherGateway(
                f"{self._places.shown(path)} sends Claude Code to {address.shown(in_settings)} already, and wins over "
                "the shell; nothing was changed. To replace it there: proxy-toggle enable --take-over"
            )
        in_shell = self._environment.get(BASE_URL, "")
        if in_shell and not is_ours(in_shell) and not address.is_anthropic(in_shell) and not wish.take_over:
            raise OtherGateway(
                f"this shell sends Claude Code to {address.shown(in_shell)} already; nothing was changed. "
                f"Remove {BASE_URL} from your shell's files, or use proxy-toggle enable, which wins over the shell"
            )

    def _other_places(self, via: Via, known: Mapping[Path, FileRecord]) -> list[Path]:
        """Where routing is on in the other way, by the receipt or, where that was lost, by what stands there."""
        if via is Via.SETTINGS:
            unknown = [file.path for file in self._places.all_shell_files() if file.path not in known]
            noted = [path for path, record in known.items() if record.settings is None]
            return [*noted, *(path for path in unknown if _mentions(path, BEGIN))]
        noted = [path for path, record in known.items() if record.settings is not None]
        path = self._places.settings
        is_unknown = path not in known and _mentions(path, BASE_URL.encode())
        return [*noted, path] if is_unknown else noted

    def _disable(self, url: str, receipt: Receipt | None, *, dry_run: bool) -> Outcome:
        was_on = receipt is not None or self._places.flag.exists()
        if dry_run:
            outcome, _ = self._undo(url, receipt, dry_run=True)
            return outcome._replace(changed=outcome.changed or was_on)
        self._remove(self._places.flag)
        outcome, left = self._undo(url, receipt, dry_run=False)
        if left and receipt:
            self._keep(replace(receipt, files=left))
        else:
            self._remove(self._places.receipt)
        return outcome._replace(changed=outcome.changed or was_on)

    def _undo(self, url: str, receipt: Receipt | None, *, dry_run: bool) -> tuple[Outcome, dict[Path, FileRecord]]:
        """Everything that is ours taken out of every file; and the records of those that resisted."""
        known = dict(receipt.files) if receipt else {}
        is_ours = _is_ours(url, receipt)
        lines: list[Line] = []
        failures: list[str] = []
        left: dict[Path, FileRecord] = {}
        changed = False
        for path in self._candidates(known):
            try:
                edit = self._editor.undo(path, known.get(path), is_ours)
                if not dry_run:
                    self._apply(edit)
            except ToggleRefused as refused:
                failures.append(str(refused))
                if path in known:
                    left[path] = known[path]
            else:
                lines += edit.lines
                changed = changed or edit.changes
        return Outcome(tuple(lines), changed, tuple(failures), receipt.at if receipt else None), left

    def _candidates(self, known: Mapping[Path, FileRecord]) -> list[Path]:
        unknown = {self._places.settings: BASE_URL.encode()}
        unknown.update({file.path: BEGIN for file in self._places.all_shell_files()})
        return [
            *known,
            *(path for path, sign in unknown.items() if path not in known and _mentions(path, sign)),
        ]

    def _apply(self, edit: Edit) -> None:
        """Makes it so. Sweeps up in any case: an interrupted turn may have left its file beside this one."""
        directories = [Path(directory) for directory in edit.record.directories] if edit.record else []
        if edit.changes and edit.after is not None:
            self._disk.make_directories(directories)
            self._disk.write(edit.target, edit.after, edit.before)
            return
        self._disk.sweep(edit.target)
        if edit.changes and edit.before is not None:
            self._disk.remove(edit.target, edit.before)
        if edit.after is None:
            self._disk.remove_directories(directories)

    def _keep(self, receipt: Receipt) -> None:
        self._write(self._places.receipt, receipt.render())

    def _write(self, path: Path, data: bytes) -> None:
        before = self._disk.read(path)
        if before is None or before.data != data:
            self._disk.write(path, data, before)

    def _remove(self, path: Path) -> None:
        self._disk.sweep(path)
        before = self._disk.read(path)
        if before is not None:
            self._disk.remove(path, before)


def _once(edits: Sequence[Edit]) -> list[Edit]:
    """Each file once: .bash_profile is often a link to .bashrc."""
    first: dict[Path, Edit] = {}
    for edit in edits:
        first.setdefault(edit.target, edit)
    return list(first.values())


def _mentions(path: Path, sign: bytes) -> bool:
    return sign in (glance(path) or b"")


def _is_ours(url: str, receipt: Receipt | None) -> Callable[[str], bool]:
    def is_ours(other: str) -> bool:
        return address.same(other, url) or (receipt is not None and address.same(other, receipt.url))

    return is_ours


def _haiku_before(known: Mapping[Path, FileRecord]) -> dict[str, str]:
    """Haiku's model as a block of ours exported it last, if one did."""
    for record in known.values():
        for text in record.blocks[-1:]:
            variables = Block(0, 0, text.encode("utf-8", "surrogateescape")).variables
            if HAIKU_MODEL in variables:
                return {HAIKU_MODEL: variables[HAIKU_MODEL]}
    return {}
