"""`claude-proxy login` and `logout`: the user's own `claude` signs in; we keep a setup-token at most.

There is no sign-in flow of our own, and Claude Code's login is never written or forgotten here.
"""

import os
import sys
from pathlib import Path

import click

from claude_proxy.commands.key import NEVER_AN_ARGUMENT, forget_secret, store_secret
from claude_proxy.commands.options import NO_CREDENTIAL, config_option
from claude_proxy.commands.secret_input import read_secret
from claude_proxy.commands.status import show_status
from claude_proxy.credentials.key_file import key_names, keys_directory
from claude_proxy.credentials.spelling import SETUP_TOKEN


@click.command(context_settings={"ignore_unknown_options": True})
@config_option
@click.option("--setup-token", is_flag=True, help="Store a token that `claude setup-token` printed.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def login(path: Path | None, arguments: tuple[str, ...], *, setup_token: bool) -> None:
    """Log in with your own Claude Code, then show what `status` shows.

    \b
    Examples:
      claude-proxy login
      claude-proxy login --console
      claude-proxy login --setup-token

    This runs `claude auth login` with the ARGUMENTS given here, for instance --console or --sso. With --setup-token
    nothing is run: the token is asked for unseen, or read from stdin where that is no terminal, and kept as
    `key set` keeps keys; it serves clients that bring no login, is sent to Anthropic alone and renewed by nobody.

    \b
    Exit codes: 0 logged in, 1 not logged in, 2 wrong usage, 78 faulty configuration; that the daemon does not run
    is shown and no failure.
    """
    if setup_token:
        if arguments and all(argument.startswith("-") for argument in arguments):
            raise click.UsageError("other options are for `claude auth login`, which --setup-token does not run")
        if arguments:
            raise click.UsageError(NEVER_AN_ARGUMENT)
        store_secret(SETUP_TOKEN, read_secret("The token that `claude setup-token` printed"))
    else:
        # Imported here because no other command runs a program, and all of them would wait for it.
        from claude_proxy.commands.hand_over import hand_over

        hand_over(arguments)
    show_status(path)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the keys of other providers that `key set` stored.")
def logout(*, everything: bool) -> None:
    """Forget the setup-token that `login --setup-token` stored.

    \b
    Examples:
      claude-proxy logout
      claude-proxy logout --all

    Claude Code's own login is not touched: `claude auth logout` forgets that. Exit codes: 0, 1 a keychain refused,
    4 there was nothing to forget.
    """
    directory = keys_directory(os.environ)
    try:
        names = key_names(directory) if everything else []
    except OSError as error:
        raise click.ClickException(f"{directory} cannot be read: {error.strerror}") from None
    forgotten: list[bool] = []
    kept: list[click.ClickException] = []
    for name in dict.fromkeys([SETUP_TOKEN, *names]):
        try:
            forgotten.append(forget_secret(name))
        except click.ClickException as error:
            kept.append(error)
            error.show()  # and go on: one that stays is no reason to keep the others
    click.echo("Claude Code's own login was left as it is; `claude auth logout` forgets it.", err=True)
    if kept:
        sys.exit(1)
    if not any(forgotten):
        click.echo("there was nothing of claude-proxy's own to forget", err=True)
        sys.exit(NO_CREDENTIAL)
