"""Whether routing is on, where, and who wins: what stands in the files and in this shell, whatever a receipt says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claude_proxy.toggle import address, shell_block
from claude_proxy.toggle.disk import Disk, glance
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.receipt import Receipt, read_receipt
from claude_proxy.toggle.refusals import ToggleRefused
from claude_proxy.toggle.settings_text import BASE_URL, SettingsText

THIS_SHELL = "this shell's ANTHROPIC_BASE_URL"


@dataclass(frozen=True, slots=True)
class Routing:
    """`via` names the places that send Claude Code to `url`, none where routing is off. `elsewhere` is where it is
    sent instead, by `elsewhere_by`. `troubles` are sentences on what is not as it should be, `notes` on what is good
    to know; `since` is Unix time. `settings` are Claude Code's own, None where they cannot be read; `exported` is what
    the shells' files export.
    """

    url: str
    via: tuple[str, ...] = ()
    elsewhere: str = ""
    elsewhere_by: str = ""
    troubles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    since: float | None = None
    settings: SettingsText | None = None
    exported: Mapping[str, str] = field(default_factory=dict)

    @property
    def on(self) -> bool:
        return bool(self.via)

    def effective(self, name: str, environment: Mapping[str, str]) -> str:
        """A variable as a new session of Claude Code gets it; "" where it says nothing."""
        in_settings = self.settings.value(name) if self.settings else ""
        return in_settings or self.exported.get(name) or environment.get(name, "")


def find(places: Places, disk: Disk, environment: Mapping[str, str], configured: str) -> Routing:
    """The state of things; `configured` is where the daemon listens by its configuration. Changes nothing."""
    receipt = _receipt(places, disk)
    troubles: list[str] = []
    notes: list[str] = []
    settings = _settings(places, troubles)

    def is_ours(url: str) -> bool:
        return address.same(url, configured) or (receipt is not None and address.same(url, receipt.url))

    shown = places.shown(places.settings)
    in_settings = settings.value(BASE_URL) if settings else ""
    in_shell = environment.get(BASE_URL, "")
    blocks = _blocks(places)
    flag = places.flag.exists()
    url = receipt.url if receipt else configured
    via: tuple[str, ...] = ()
    elsewhere = ("", "")
    exported: Mapping[str, str] = {}
    if in_settings:
        if is_ours(in_settings):
            url, via = in_settings, (shown,)
        elif not address.is_anthropic(in_settings):
            elsewhere = (address.shown(in_settings), shown)
        if in_shell and not address.same(in_shell, in_settings):
            notes.append(f"{THIS_SHELL} = {address.shown(in_shell)} has no effect: {shown} wins over the shell")
    elif in_shell and not is_ours(in_shell) and not address.is_anthropic(in_shell):
        elsewhere = (address.shown(in_shell), THIS_SHELL)
    elif flag and blocks:
        exported = next(iter(blocks.values()))
        url, via = exported.get(BASE_URL, ""), tuple(places.shown(path) for path in blocks)
        if not in_shell:
            notes.append("this shell was opened before routing was on: open a new one")
    elif in_shell and is_ours(in_shell):
        url, via = in_shell, (THIS_SHELL,)
    if flag and not via:
        troubles.append(_lost(elsewhere, shown))
    if via and not address.same(url, configured):
        notes.append(f"the configuration has the daemon on {configured}; to use that: proxy-toggle enable")
    since = receipt.at if receipt and via and via != (THIS_SHELL,) else None
    return Routing(url, via, *elsewhere, tuple(troubles), tuple(notes), since, settings, exported)


def _lost(elsewhere: tuple[str, str], shown: str) -> str:
    """Routing was switched on, and something has undone it: a restored file, or the user's own hand."""
    if elsewhere[1]:
        return "routing was switched on, and then changed by another hand; what stands there now is kept"
    return f"routing was switched on, but nothing of it is left in {shown} or your shell's files: proxy-toggle enable"


def _receipt(places: Places, disk: Disk) -> Receipt | None:
    try:
        found = disk.read(places.receipt)
    except ToggleRefused:
        return None
    return read_receipt(found.data if found else None)


def _settings(places: Places, troubles: list[str]) -> SettingsText | None:
    data = glance(places.settings)
    try:
        return SettingsText(data or b"", str(places.settings))
    except ToggleRefused as refused:
        troubles.append(str(refused))
        return None


def _blocks(places: Places) -> dict[Path, Mapping[str, str]]:
    """The files of shells with a block, and what each exports."""
    found: dict[Path, Mapping[str, str]] = {}
    for file in places.all_shell_files():
        data = glance(file.path)
        if data and shell_block.BEGIN in data:
            try:
                blocks = shell_block.find(data, str(file.path))
            except ToggleRefused:
                continue
            for block in blocks[-1:]:
                found[file.path] = block.variables
    return found
