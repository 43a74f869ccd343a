"""The command line: `claude-proxy serve` and the commands around it.

What leads to the settings of every room, and so to aiohttp, is imported in the command that needs it: it takes
300 ms, and a command that only asks the daemon shall answer within 100.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from claude_proxy import __version__
from claude_proxy.commands.key import key
from claude_proxy.commands.ledger import ledger
from claude_proxy.commands.login import login, logout
from claude_proxy.commands.options import CONFIG, config_option, told_if_faulty
from claude_proxy.commands.prices import prices
from claude_proxy.commands.status import status
from claude_proxy.commands.usage import usage
from claude_proxy.config.layers import default_path, default_text
from claude_proxy.demo.command import demo
from claude_proxy.service.commands import service
from claude_proxy.toggle.commands import disable, enable


@click.group(
    commands=[demo, service, enable, disable, status, usage, prices, key, login, logout, ledger],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="claude-proxy")
def main() -> None:
    """A local daemon between your own Claude Code and the model APIs.

    \b
    Examples:
      claude-proxy demo
      claude-proxy serve
      claude-proxy service install
      claude-proxy enable
      claude-proxy status
      claude-proxy usage
      claude-proxy key set minimax
      claude-proxy ledger stats
      claude-proxy explain --model claude-haiku-4-5-20251001
    """


@main.command()
@config_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 for any free one.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["key-value", "json"]))
def serve(path: Path | None, **options: Any) -> None:
    """Run the daemon in the foreground.

    \b
    Ctrl-C or SIGTERM lets running answers finish, a second one ends at once. SIGHUP reloads the configuration.
    Exit codes: 0 ended after draining, 1 ended at once, 78 faulty configuration, or address or ledger not free.
    """
    from claude_proxy.config.load import load
    from claude_proxy.daemon import PortTaken
    from claude_proxy.daemon import serve as run_daemon
    from claude_proxy.ledger.holder import LedgerHeld

    names = {
        "host": "listen.host",
        "port": "listen.port",
        "log_level": "log.level",
        "log_format": "log.format",
    }
    overrides = {names[name]: value for name, value in options.items() if value is not None}
    settings = told_if_faulty(lambda: load(path, os.environ, overrides))
    try:
        code = run_daemon(settings, dict(os.environ), lambda: load(path, os.environ, overrides))
    except (PortTaken, LedgerHeld) as error:
        click.echo(f"claude-proxy: {error}", err=True)
        code = CONFIG
    sys.exit(code)


@main.command()
@config_option
def check(path: Path | None) -> None:
    """Say what is wrong with the configuration, all at once, and where.

    Exit codes: 0 nothing is wrong, 78 something is.
    """
    from claude_proxy.config.load import load

    settings = told_if_faulty(lambda: load(path, os.environ))
    click.echo(f"{settings.file or 'the built-in configuration'}: nothing wrong")


@main.command()
@config_option
@click.option("--model", help="A model's name, as Claude Code would send it.")
@click.option("--agent", type=click.Choice(["main", "sub"]), default="main", show_default=True)
@click.option(
    "--request",
    "request_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with a request's JSON body.",
)
@click.option("--id", "of", help="A request that was recorded, by its id or the beginning of it.")
def explain(path: Path | None, model: str | None, agent: str, request_file: Path | None, of: str | None) -> None:
    """Say where a request would go, in which order, and with which credential; nothing is sent.

    Of a request that was recorded (--id) it says first what became of it.
    """
    from claude_proxy.config.load import load
    from claude_proxy.explain import Question, explain_lines, recorded
    from claude_proxy.ledger.store import LedgerError

    if [model, request_file, of].count(None) != 2:
        raise click.UsageError("give either --model NAME, --request FILE or --id ID")
    settings = told_if_faulty(lambda: load(path, os.environ))
    try:
        question = Question(model, agent == "sub", request_file.read_bytes() if request_file else None)
        before, question = recorded(settings, of) if of is not None else ([], question)
        for line in (*before, *explain_lines(settings, os.environ, question)):
            click.echo(line)
    except LedgerError as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.ClickException(f"{of or request_file}: {error}") from None


@main.command()
@config_option
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(path: Path | None, *, force: bool) -> None:
    """Write a configuration file with every setting and its explanation."""
    target = path or default_path()
    # No link is followed: one that was planted would have another file overwritten.
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, how, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor, to set its mode
            os.fchmod(descriptor, 0o600)
            file.write(default_text())
    except FileExistsError:
        if not target.parent.is_dir():
            raise click.ClickException(f"{target} cannot be written: {target.parent} is no directory") from None
        click.echo(f"{target} is there already and was left as it is; --force overwrites it", err=True)
        sys.exit(1)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {target}")
    click.echo("Next: claude-proxy check, then claude-proxy serve")
