"""`claude-proxy statusline` as help and completion see it; `__main__` runs it without click, which takes 50 ms."""

import click

from claude_proxy.statusline.command import WRAP, run


@click.command()
@click.option(WRAP, "wrapped", metavar="COMMAND", help="A status line of your own: it is run, and ours appended.")
def statusline(wrapped: str | None) -> None:
    """Print a status line for Claude Code, which tells what it does on stdin.

    It says where this model's requests go, what today has cost and which upstream is left alone, or that the daemon
    is down. It is never installed by itself: README, "In Claude Code's status line", says what to write into Claude
    Code's settings.

    \b
    Examples:
      claude-proxy statusline
      claude-proxy statusline --wrap '~/.claude/my-status-line.sh'
    Exit code: always 0, since Claude Code blanks the line otherwise.
    """
    run([] if wrapped is None else [WRAP, wrapped])
