"""What commands share: the codes with which they end, an option, and how a faulty configuration is told."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")

# The codes of sysexits.h, and of the Linux Standard Base for the state of a service.
UP = 0
DEGRADED = 1
USAGE = 2
NOT_RUNNING = 3
NO_CREDENTIAL = 4
CONFIG = 78

# As sh, env and nohup have it for the program that they are to run.
CANNOT_RUN = 126
NOT_FOUND = 127

INTERRUPTED = 130  # as shells tell of a program that Ctrl-C has ended

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CLAUDE_PROXY_CONFIG",
    help="The configuration file. Default: ~/.config/claude-proxy/config.yaml, if it is there.",
)

url_option = click.option("--url", help="Where the daemon listens, if not as its configuration says.")
force_option = click.option("--force", is_flag=True, help="Also when the daemon does not answer.")


def told_if_faulty(read: Callable[[], T]) -> T:
    """What reading a configuration gives; where it is faulty, every fault is printed and the program ends with 78."""
    # Imported here because it takes 4 ms, and most commands want but an option.
    from claude_proxy.config.tree import ConfigurationError

    try:
        return read()
    except ConfigurationError as error:
        for complaint in error.complaints:
            click.echo(str(complaint), err=True)
        count = len(error.complaints)
        click.echo(f"{count} fault{'s' if count > 1 else ''} in the configuration", err=True)
        sys.exit(CONFIG)
