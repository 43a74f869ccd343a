"""Checks of what Claude Code is told: its settings, who wins, what replaces its login, and our receipt."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from claude_proxy.doctor.case import Case
from claude_proxy.doctor.finding import Finding, fail, ok, skip, warn
from claude_proxy.toggle import address
from claude_proxy.toggle.disk import glance
from claude_proxy.toggle.hazards import find_hazards
from claude_proxy.toggle.receipt import read_receipt
from claude_proxy.toggle.refusals import ToggleRefused
from claude_proxy.toggle.settings_text import BASE_URL, SettingsText

# In the order in which they win (https://code.claude.com/docs/en/settings); the user's own come after them.
_MANAGED = {
    "linux": Path("/etc/claude-code/managed-settings.json"),
    "darwin": Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
}
_OF_PROJECT = (".claude/settings.local.json", ".claude/settings.json")


def settings(case: Case) -> Iterator[Finding]:
    """Settings that are no JSON are nobody's: Claude Code does without them."""
    shown = case.places.shown(case.places.settings)
    data = glance(case.places.settings)
    try:
        SettingsText(data or b"", str(case.places.settings))
    except ToggleRefused as refused:
        fault = str(refused).partition("; nothing was changed")[0]
        yield fail(f"{fault}: Claude Code cannot read these settings", advice="mend that line")
        return
    yield ok(f"{shown} can be read" if data is not None else f"there is no {shown}")


def receipt(case: Case) -> Iterator[Finding]:
    """What `disable` goes by, beside what really stands in the files."""
    now = case.routing
    enable, disable = (case.own(word) for word in ("enable", "disable"))
    try:
        found = case.disk.read(case.places.receipt)
    except ToggleRefused as refused:
        yield warn(str(refused).partition("; nothing was changed")[0], advice="give the file back to yourself")
        return
    if found is not None and read_receipt(found.data) is None:
        says = f"{case.places.receipt} cannot be understood, so `disable` knows only our own address to take back"
        yield warn(says, f"rm {shlex.quote(str(case.places.receipt))} && {enable}")
    elif now.elsewhere and (found is not None or case.places.flag.exists()):
        yield skip("routing was switched on, and then changed by another hand")  # which gateway it is, is said next
    elif case.places.flag.exists() and not now.on:
        says = "routing was switched on, but nothing of it is left in Claude Code's settings or your shell's files"
        yield warn(says, enable, f"or forget it: {disable}")
    elif found is not None and not now.on:
        yield warn("there is a receipt of routing, and no routing", disable)
    else:
        yield ok("the receipt tells what stands there" if found is not None else "there is none, and none is needed")


def gateway(case: Case) -> Iterator[Finding]:
    """Another base URL than ours, in a place that wins over the one that we write."""
    now = case.routing
    if now.elsewhere:
        taking = "enable --take-over" if now.elsewhere_by == case.places.shown(case.places.settings) else "enable"
        says = f"{now.elsewhere_by} sends Claude Code to {now.elsewhere}, and not to the proxy"
        yield fail(says, case.own(taking), "what stands there comes back with `disable`")
        return
    for path, found in _others(case):
        url = found.value(BASE_URL)
        if url and not address.same(url, now.url):
            says = (
                f"{path} sends Claude Code to {address.shown(url)}, and wins over your own settings in this directory"
            )
            yield fail(says, advice=f"remove {BASE_URL} from env there, or start `claude` elsewhere")
            return
    yield ok("nobody else sends Claude Code elsewhere")


def replaced_login(case: Case) -> Iterator[Finding]:
    """Keys and helpers that Claude Code uses instead of its login, and switches to other providers."""
    shown = case.places.shown(case.places.settings)
    found = list(find_hazards(case.routing.settings, shown, case.environment))
    for path, others in _others(case):
        found += find_hazards(others, str(path), {})
    for hazard in found:
        command = "" if hazard.file else f"unset {hazard.name}"
        advice = f"remove {hazard.name} there" if hazard.file else "and remove it from your shell's files"
        yield (fail if hazard.astray else warn)(hazard.cause, command, advice)
    if not found:
        yield ok("Claude Code uses its own login")


def routed(case: Case) -> Iterator[Finding]:
    """Whether new sessions come to the proxy at all."""
    now = case.routing
    if now.on:
        yield ok(f"routing is on, by {', '.join(now.via)}, to {address.shown(now.url)}")
    elif now.elsewhere:
        yield skip("another gateway is in its place")
    else:
        yield warn("routing is off: Claude Code asks Anthropic directly", case.own("enable"))


def _others(case: Case) -> Iterator[tuple[Path, SettingsText]]:
    """Settings that win over the user's own, where they can be read."""
    managed = [_MANAGED[sys.platform]] if sys.platform in _MANAGED else []
    try:
        here = [Path.cwd() / name for name in _OF_PROJECT]
    except FileNotFoundError:
        here = []  # the directory of this shell is gone
    for path in (*managed, *here):
        if path != case.places.settings and (data := glance(path)):
            try:
                yield path, SettingsText(data, str(path))
            except ToggleRefused:
                continue  # Claude Code does without them, too
