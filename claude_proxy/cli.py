"""The command line `claude-proxy`: which commands there are, and where each lies.

Each is imported when it is asked for, so that a light one does not wait for what a heavy one needs. Such a module
imports aiohttp, and what leads to it, within the function that needs it: help imports them all.
"""

import click

from claude_proxy import __version__
from claude_proxy.commands.lazy import LazyGroup

COMMANDS = {
    "demo": "claude_proxy.demo.command:demo",
    "serve": "claude_proxy.commands.serve:serve",
    "service": "claude_proxy.service.commands:service",
    "enable": "claude_proxy.toggle.commands:enable",
    "disable": "claude_proxy.toggle.commands:disable",
    "run": "claude_proxy.commands.run:run",
    "env": "claude_proxy.commands.env:env",
    "status": "claude_proxy.commands.status:status",
    "doctor": "claude_proxy.doctor.command:doctor",
    "key": "claude_proxy.commands.key:key",
    "login": "claude_proxy.commands.login:login",
    "logout": "claude_proxy.commands.login:logout",
    "init": "claude_proxy.commands.init:init",
    "check": "claude_proxy.commands.check:check",
    "config": "claude_proxy.commands.config:config",
    "explain": "claude_proxy.commands.explain:explain",
    "logs": "claude_proxy.commands.logs:logs",
    "tail": "claude_proxy.commands.tail:tail",
    "usage": "claude_proxy.commands.usage:usage",
    "ledger": "claude_proxy.commands.ledger:ledger",
    "prices": "claude_proxy.commands.prices:prices",
    "statusline": "claude_proxy.commands.statusline:statusline",
    "paths": "claude_proxy.commands.paths:paths",
    "completion": "claude_proxy.completion:completion",
    "uninstall": "claude_proxy.commands.uninstall:uninstall",
    "help": "claude_proxy.commands.help:help_",
}
"""Name: module and attribute."""


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
      claude-proxy doctor
      claude-proxy usage
      claude-proxy key set minimax
      claude-proxy run -- claude
      claude-proxy ledger stats
      claude-proxy explain --model claude-haiku-4-5-20251001
      claude-proxy help exit-codes
    """
