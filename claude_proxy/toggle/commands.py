"""The command line of the switch: `proxy-toggle enable`, `disable`, `status`.

It is light: the daemon is asked with the standard library, and neither aiohttp nor keyring is imported.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from claude_proxy import __version__
from claude_proxy.completion import completion
from claude_proxy.toggle import address, hazards, routing, sessions, status_text, wiring
from claude_proxy.toggle.disk import Disk
from claude_proxy.toggle.health import Health, Silence, ask, wants_token
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.refusals import FAILED
from claude_proxy.toggle.settings_text import BASE_URL
from claude_proxy.toggle.shell_block import Shell, set_line
from claude_proxy.toggle.status import Status, features_off
from claude_proxy.toggle.switch import Outcome, Switch, Via, Wish
from claude_proxy.toggle.tell import running_ones, tell, tell_lines, telling, warn

_EXTENSIONS = (".vscode", ".vscode-server", ".vscode-insiders", ".cursor")

_UNCHANGED = "nothing was changed"

_config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CLAUDE_PROXY_CONFIG",
    help="The configuration that says where the daemon listens. Default: ~/.config/claude-proxy/config.yaml.",
)
_url_option = click.option("--url", help="Where the daemon listens, if not as its configuration says.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")


@click.group(commands=[completion], context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="proxy-toggle")
def main() -> None:
    """Routing of Claude Code through claude-proxy, switched on and off.

    \b
    Examples:
      proxy-toggle enable       Claude Code uses the proxy from now on
      proxy-toggle status       is it on, and does it work?
      proxy-toggle disable      everything as it was, to the byte
    """


@main.command()
@click.option(
    "--via",
    type=click.Choice([str(via) for via in Via]),
    default=str(Via.SETTINGS),
    show_default=True,
    help="Where: Claude Code's settings.json; a block in the files of your shells; or nowhere: print lines to eval.",
)
@click.option("--force", is_flag=True, help="Also when the daemon does not answer.")
@click.option("--take-over", is_flag=True, help="Also where Claude Code uses another gateway; `disable` restores it.")
@_dry_run_option
@_url_option
@_config_option
@telling("proxy-toggle")
def enable(via: str, url: str | None, config: Path | None, *, force: bool, take_over: bool, dry_run: bool) -> None:
    """Switch routing on.

    \b
    Examples:
      proxy-toggle enable                          in Claude Code's settings.json
      proxy-toggle enable --via shell              in the files of zsh, bash and fish
      eval "$(proxy-toggle enable --via none)"     in this shell alone
    Exit codes: 0 it is on, 1 refused, 3 the daemon does not answer, 78 its address is not known.
    """
    environment, places, disk = os.environ, Places.of(os.environ), Disk()
    where = wiring.daemon_url(url, places, config, environment, otherwise=_UNCHANGED)
    health = ask(where)
    # With --via none what is printed is evaluated.
    _check_answer(where, health, words_to_stderr=via == Via.NONE, force=force)
    wired = wiring.wire(where, health, environment)
    wish = Wish(Via(via), where, wired.variables, haiku_unknown=wired.haiku_unknown, take_over=take_over)
    switch = Switch(places, disk, environment)
    if wish.via is Via.NONE:
        switch.check_others(wish)
        for name, value in wish.variables.items():
            click.echo(set_line(Shell.POSIX, name, value))
    else:
        outcome = switch.enable(wish, dry_run=dry_run)
        tell_lines(outcome.lines, dry_run=dry_run)
        if not dry_run:
            _tell_enabled(outcome, places, wish.via, wired.looked_for)
    now = routing.find(places, disk, environment, where)
    warn(*now.notes, *hazards.hazards(now.settings, places.shown(places.settings), environment))
    if isinstance(health, Health) and wants_token(where) and hazards.lacks_token(now.settings, environment):
        warn(hazards.token_wanted(places.shown(places.settings)))


@main.command()
@_dry_run_option
@_url_option
@_config_option
@telling("proxy-toggle")
def disable(url: str | None, config: Path | None, *, dry_run: bool) -> None:
    """Switch routing off, wherever it is on; needs neither daemon nor configuration.

    \b
    Example:
      proxy-toggle disable
    What you have changed since is kept. Exit codes: 0 it is off, 1 something could not be restored.
    """
    places, disk = Places.of(os.environ), Disk()
    own = address.given(url) if url else wiring.configured(places, config, os.environ).url
    outcome = Switch(places, disk, os.environ).disable(own, dry_run=dry_run)
    tell_lines(outcome.lines, dry_run=dry_run)
    if not outcome.changed and not outcome.failures:
        tell("Routing is off already; nothing to undo.")
    elif outcome.changed and not dry_run:
        started = sessions.running(since=outcome.since)
        tell("  New `claude` sessions do without the proxy" + running_ones(started, "keep it", "keeps it"))
    if not dry_run:
        _tell_left(routing.find(places, disk, os.environ, own))
    for failure in outcome.failures:
        tell(f"proxy-toggle: {failure}", err=True)
    sys.exit(FAILED if outcome.failures else 0)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_config_option
@telling("proxy-toggle")
def status(config: Path | None, *, as_json: bool) -> None:
    """Say whether routing is on, and how the daemon is.

    \b
    Examples:
      proxy-toggle status
      proxy-toggle status --json
    Exit codes: 0 up, 1 degraded, 3 the daemon does not answer.
    """
    environment, places = os.environ, Places.of(os.environ)
    where = wiring.configured(places, config, os.environ)
    now = routing.find(places, Disk(), environment, where.url)
    health = ask(now.url)
    pid = health.body.get("pid") if isinstance(health, Health) else None
    warnings = [where.complaint] if where.complaint else []
    if now.on:
        warnings += hazards.hazards(now.settings, places.shown(places.settings), environment)
    told = Status(
        now,
        health,
        __version__,
        tuple(warnings),
        memory=sessions.resident_memory(pid) if isinstance(pid, int) else None,
        stale_sessions=_stale_sessions(now),
        features_off=features_off(now, environment),
    )
    if as_json:
        click.echo(json.dumps(told.as_json(), indent=2))
    else:
        first, *rest = status_text.lines(told, time.time())
        tell(first, color="red" if now.on and isinstance(health, Silence) else None)
        for line in rest:
            tell(line)
    sys.exit(told.exit_code)


def _check_answer(url: str, health: Health | Silence, *, words_to_stderr: bool, force: bool) -> None:
    """Tells that the daemon answers. Raises NotAnswering where it does not."""
    if force and isinstance(health, Silence):
        warn(wiring.hangs(url, health))
        return
    answer = wiring.must_answer(url, health, otherwise=_UNCHANGED, force="switch on")
    ending = ", which is just ending" if answer.draining else ""
    took = f"{answer.seconds * 1000:.1f} ms"
    tell(f"✓ daemon answers on {url}  ({took}, version {answer.version}){ending}", err=words_to_stderr)


def _tell_enabled(outcome: Outcome, places: Places, via: Via, looked_for: Sequence[str]) -> None:
    if not outcome.changed:
        tell("Routing was on already; nothing was changed.")
        return
    own = [source.partition(":")[2] for source in looked_for if source.startswith("keyring:")]
    read = f"only claude-proxy's own key for {own[0]} was looked for" if own else "nothing was read"
    tell(f"  Your Claude login stays as it is; {read} {'in' if own else 'from'} the keychain.")
    new = "New `claude` sessions use the proxy" if via is Via.SETTINGS else "New shells use the proxy"
    tell(f"  {new}" + running_ones(sessions.running(), "do not", "does not"))
    if any(next((places.home / name / "extensions").glob("anthropic.claude-code*"), None) for name in _EXTENSIONS):
        tell("  VS Code's extension needs these variables in its own setting claudeCode.environmentVariables.")
    tell("Undo:  proxy-toggle disable")


def _tell_left(now: routing.Routing) -> None:
    """What still sends Claude Code to this machine, and was not ours to remove."""
    if now.via == (routing.THIS_SHELL,):
        warn(f"this shell still has {BASE_URL} = {address.shown(now.url)}: unset {BASE_URL}, or open a new shell")
    if now.elsewhere and address.is_here(now.elsewhere):
        warn(
            f"{now.elsewhere_by} still sends Claude Code to {now.elsewhere}, which is not known as an address of "
            f"this proxy. If it is one: proxy-toggle disable --url {now.elsewhere}"
        )


def _stale_sessions(now: routing.Routing) -> int | None:
    """How many sessions were started before routing was on."""
    if now.since is None:
        return None
    everybody, since = sessions.running(), sessions.running(since=now.since)
    return None if everybody is None or since is None else len(everybody) - len(since)
