"""`claude-proxy explain`: where a request would go."""

import os
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, told_if_faulty


@click.command()
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

    \b
    Examples:
      claude-proxy explain --model claude-haiku-4-5-20251001
      claude-proxy explain --model claude-opus-4-8 --agent sub
      claude-proxy explain --request body.json
      claude-proxy explain --id req_cp_12ab

    Exit codes: 0, 1 the file holds no request or none was recorded, 2 wrong usage, 78 faulty configuration.
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
