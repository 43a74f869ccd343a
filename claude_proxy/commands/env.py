"""`claude-proxy env`: the variables of the wiring as lines for a shell to evaluate."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, force_option, url_option
from claude_proxy.toggle import address, haiku, wiring
from claude_proxy.toggle.health import Silence, ask
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from claude_proxy.toggle.shell_block import Shell, set_line, unset_line
from claude_proxy.toggle.tell import telling, warn


@click.command()
@click.option("--shell", type=click.Choice(["sh", "bash", "zsh", "fish"]), default="sh", show_default=True)
@click.option("--unset", is_flag=True, help="Lines that take it back; needs neither daemon nor configuration.")
@force_option
@url_option
@config_option
@telling("claude-proxy")
def env(shell: str, url: str | None, path: Path | None, *, unset: bool, force: bool) -> None:
    """Print lines that route one shell, and what is started in it, through the proxy.

    \b
    Examples:
      eval "$(claude-proxy env)"                      in sh, bash, zsh
      claude-proxy env --shell fish | source          in fish
      eval "$(claude-proxy env --unset)"              and back

    Nothing is written anywhere. Only what is this proxy's own is taken back. Exit codes: 0 printed, 3 the daemon does
    not answer, 78 its address is not known.
    """
    syntax = Shell.FISH if shell == "fish" else Shell.POSIX
    places = Places.of(os.environ)
    if unset:
        own = address.given(url) if url else wiring.configured(places, path, os.environ).url
        for name in _ours(own, os.environ):
            click.echo(unset_line(syntax, name))
        return
    where = wiring.daemon_url(url, places, path, os.environ, otherwise="nothing was printed")
    health = ask(where)
    if force and isinstance(health, Silence):
        warn(wiring.hangs(where, health))
    else:
        wiring.must_answer(where, health, otherwise="nothing was printed", force="have the lines")
    for name, value in wiring.wire(where, health, os.environ, ask_keychain=False).variables.items():
        click.echo(set_line(syntax, name, value))
    warn(*wiring.spoilers(where, health, places, os.environ, Path.cwd()))


def _ours(own: str, environment: Mapping[str, str]) -> Iterator[str]:
    """The variables of this shell that have a value of ours; of another gateway's it is said that they stay."""
    there = environment.get(BASE_URL, "")
    if there and not address.same(there, own):
        warn(f"{BASE_URL} = {address.shown(there)} is not known as an address of this proxy, and stays")
    elif there:
        yield BASE_URL
        if environment.get(TOOL_SEARCH) == "true":
            yield TOOL_SEARCH
    if environment.get(HAIKU_MODEL) == haiku.HAIKU:
        yield HAIKU_MODEL
