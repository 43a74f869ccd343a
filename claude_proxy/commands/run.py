"""`claude-proxy run`: one process that uses the proxy, and nothing else that does."""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from claude_proxy.commands.options import CANNOT_RUN, NOT_FOUND, config_option, force_option, url_option
from claude_proxy.toggle import wiring
from claude_proxy.toggle.health import Silence, ask
from claude_proxy.toggle.places import Places
from claude_proxy.toggle.tell import tell, telling, warn


@click.command(context_settings={"allow_interspersed_args": False})
@force_option
@url_option
@config_option
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENTS]...")
@telling("claude-proxy")
def run(url: str | None, path: Path | None, program: tuple[str, ...], *, force: bool) -> None:
    """Run a program, with all that it starts, through the proxy, and nothing else.

    \b
    Examples:
      claude-proxy run -- claude
      claude-proxy run -- claude --model haiku -p "say hi"
      claude-proxy run --url http://127.0.0.1:8083 -- claude

    Nothing is written anywhere. The program takes the place of this command: its signals and its exit code are its
    own. Before that: 2 wrong usage, 3 the daemon does not answer, 78 its address is not known, 126 the program cannot
    be run, 127 it was not found.
    """
    places = Places.of(os.environ)
    where = wiring.daemon_url(url, places, path, os.environ, otherwise="nothing was started")
    health = ask(where)
    if force and isinstance(health, Silence):
        warn(wiring.hangs(where, health))
    else:
        wiring.must_answer(where, health, otherwise="nothing was started", force="start it")
    variables = wiring.wire(where, health, os.environ, ask_keychain=False).variables
    warn(*wiring.spoilers(where, health, places, os.environ, Path.cwd()))
    _become(program, {**os.environ, **variables})


def _become(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Puts the program in the place of this process."""
    # Python ignores these two, which the program would go on with: `claude … | head` would not end it.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(program[0], list(program), environment)  # noqa: S606 - what the user has asked for, no shell
    except OSError as error:
        found = shutil.which(program[0]) or Path(program[0]).exists()
        said = f"cannot be run: {error.strerror}" if found else "was not found; is it on your PATH?"
        tell(f"claude-proxy: {program[0]} {said}", err=True)
        raise SystemExit(CANNOT_RUN if found else NOT_FOUND) from None
