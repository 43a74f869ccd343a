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
def explain(path: Path | None, model: str | None, agent: str, request_file: Path | None) -> None:
    """Say where a request would go, in which order, and with which credential; nothing is sent.

    \b
    Examples:
      claude-proxy explain --model claude-haiku-4-5-20251001
      claude-proxy explain --model claude-opus-4-8 --agent sub
      claude-proxy explain --request body.json

    Exit codes: 0, 1 the file holds no request, 2 wrong usage, 78 faulty configuration.
    """
    from claude_proxy.config.load import load
    from claude_proxy.explain import Question, explain_lines

    if (model is None) == (request_file is None):
        raise click.UsageError("give either --model NAME or --request FILE")
    body = request_file.read_bytes() if request_file else None
    question = Question(model, agent == "sub", body)
    settings = told_if_faulty(lambda: load(path, os.environ))
    try:
        for line in explain_lines(settings, os.environ, question):
            click.echo(line)
    except ValueError as error:
        raise click.ClickException(f"{request_file}: {error}") from None
