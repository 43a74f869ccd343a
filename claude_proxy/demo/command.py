"""`claude-proxy demo`."""

import os
import sys
from functools import partial

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--once", is_flag=True, help="Ask three requests itself, show what became of them, and end.")
def demo(*, once: bool) -> None:
    """See the proxy at work without an account and without a network.

    \b
    Examples:
      claude-proxy demo
      claude-proxy demo --once

    The real daemon runs before a stand-in for Anthropic and MiniMax, on a free port of this machine. It prints the
    line that starts Claude Code with it, and then a line for each request. It reads no login, sends nothing to
    another machine, and Ctrl-C leaves nothing behind.

    \b
    The table:
      FOR     what Claude Code wants the request for: main, agent, title, count (of tokens), quota, web, other
      TRIES   how often an upstream was asked; a line with · tells of a try that failed, while it happens
      FIRST   the time until the answer's first byte
      IN OUT  tokens, as the upstream counts them

    \b
    Exit codes:
      0    ended by Ctrl-C or SIGTERM, once running answers were finished; with --once: all was answered
      1    with --once: something was not answered
      130  a second signal, or the end of 5 s, cut off what was running
    """
    # Here, since aiohttp takes 300 ms, and `--help` needs none of it.
    from claude_proxy.demo.stage import NoPlace, play

    try:
        play(partial(os.write, sys.stdout.fileno()), once=once)
    except NoPlace as error:
        raise click.ClickException(str(error)) from None
