"""`claude-proxy serve`: the daemon in the foreground."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from claude_proxy.commands.options import CONFIG, config_option, told_if_faulty

_AUTHORITIES = "SSL_CERT_FILE"


@click.command()
@config_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 for any free one.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["key-value", "json"]))
def serve(path: Path | None, **options: Any) -> None:
    """Run the daemon in the foreground.

    \b
    Examples:
      claude-proxy serve
      claude-proxy serve --port 8083 --log-format json

    Ctrl-C or SIGTERM lets running answers finish, a second one ends at once. SIGHUP reloads the configuration.

    Exit codes: 0 ended after draining, 1 ended at once, 78 faulty configuration, or address or ledger not free.
    """
    with _authorities_unread():
        # First, and from here: reached through our own modules it lies so deep that Python gets a piece of its stack
        # from the system for one call, gives it back, and gets it again for the next (CPython's issue 142183).
        import aiohttp  # noqa: F401 - what follows leads to it

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


@contextlib.contextmanager
def _authorities_unread() -> Iterator[None]:
    """While aiohttp is imported, which reads the system's authorities twice then, 40 ms, for TLS that is not used
    here: upstreams.connection reads them once, when the daemon serves. OpenSSL looks where this variable says."""
    before = os.environ.get(_AUTHORITIES)
    os.environ[_AUTHORITIES] = os.devnull
    try:
        yield
    finally:
        del os.environ[_AUTHORITIES]
        if before is not None:
            os.environ[_AUTHORITIES] = before
