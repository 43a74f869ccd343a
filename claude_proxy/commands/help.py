"""`claude-proxy help`: a command explained, or a topic that belongs to all of them."""

import click

from claude_proxy.commands.options import (
    CANNOT_RUN,
    CONFIG,
    DEGRADED,
    INTERRUPTED,
    NO_CREDENTIAL,
    NOT_FOUND,
    NOT_RUNNING,
    UP,
    USAGE,
)

EXIT_CODES = {
    UP: "done; up; nothing is wrong",
    DEGRADED: "failed, or refused; of status: degraded, it runs and something is not as it should be",
    USAGE: "wrong usage: an option, an argument or a command that there is not",
    NOT_RUNNING: "the daemon does not run, or does not answer",
    NO_CREDENTIAL: "a credential is missing, or was refused",
    CONFIG: "the configuration is faulty, or its address is not free",
    CANNOT_RUN: "of run: the program cannot be run",
    NOT_FOUND: "of run: the program was not found",
    INTERRUPTED: "interrupted by Ctrl-C",
}

_TOPIC = "exit-codes"


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND... | exit-codes]")
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command, or the exit codes of all of them.

    \b
    Examples:
      claude-proxy help status
      claude-proxy help key set
      claude-proxy help exit-codes
    """
    if words == (_TOPIC,):
        for code, meaning in EXIT_CODES.items():
            click.echo(f"{code:>3}  {meaning}")
        click.echo("Of several, a command gives the gravest; `run` gives those of the program that it runs.", err=True)
        return
    root = context.find_root()
    group, explained = root.command, root
    for word in words:
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{explained.command_path} has no commands of its own")
        name, command, _ = group.resolve_command(explained, [word])
        assert command is not None
        group, explained = command, click.Context(command, info_name=name, parent=explained)
    click.echo(explained.get_help())
