"""`claude-proxy ledger`: what lies in the ledger, how large it is, and what is to become of it."""

from pathlib import Path

import click

from claude_proxy.commands.options import config_option

_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def ledger() -> None:
    """Look at the record of what was asked and answered, clean it up, take it elsewhere.

    It works whether the daemon runs or not. Which file it is, the configuration says (ledger.url).

    \b
    Exit codes: 0 done, 1 not done or something is wrong, 78 faulty configuration or a newer version's ledger.
    Examples:
      claude-proxy ledger stats
      claude-proxy ledger prune --keep 30d
      claude-proxy ledger export backup.jsonl
    """


@ledger.command()
@config_option
@_json_option
def stats(path: Path | None, *, as_json: bool) -> None:
    """Say how many records there are, of which time, and what they take."""
    from claude_proxy.commands import ledger_work

    ledger_work.stats(ledger_work.settings(path), as_json=as_json)


@ledger.command()
@config_option
@click.option("--keep", metavar="DURATION", help="Forget records older than that, as 30d. Default: ledger.keep.")
@click.option("--max-size", metavar="SIZE", help="Forget the oldest beyond that, as 500MiB. Default: ledger.max_size.")
@_json_option
def prune(path: Path | None, keep: str | None, max_size: str | None, *, as_json: bool) -> None:
    """Forget what is older or more than is to be kept, now. Sums of usage stay."""
    from claude_proxy.commands import ledger_work

    given = {"ledger.keep": keep, "ledger.max_size": max_size}
    overrides = {name: value for name, value in given.items() if value is not None}
    ledger_work.prune(ledger_work.settings(path, overrides), as_json=as_json)


@ledger.command()
@config_option
@_json_option
def vacuum(path: Path | None, *, as_json: bool) -> None:
    """Give free space back to the disk. A daemon that runs keeps its records in memory meanwhile."""
    from claude_proxy.commands import ledger_work

    ledger_work.vacuum(ledger_work.settings(path), as_json=as_json)


@ledger.command()
@config_option
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False), default="-")
def export(path: Path | None, file: Path) -> None:
    """Write all records and their bodies to FILE as JSON Lines; - is stdout. A file that is there is not touched."""
    from claude_proxy.commands import ledger_work

    ledger_work.export(ledger_work.settings(path), file)


@ledger.command("import")
@config_option
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True), default="-")
@_json_option
def import_file(path: Path | None, file: Path, *, as_json: bool) -> None:
    """Add what `export` wrote to FILE; - is stdin. What is there already is not added again."""
    from claude_proxy.commands import ledger_work

    ledger_work.import_file(ledger_work.settings(path), file, as_json=as_json)


@ledger.command()
@config_option
@_json_option
def check(path: Path | None, *, as_json: bool) -> None:
    """Read all of it, and say what is damaged."""
    from claude_proxy.commands import ledger_work

    ledger_work.check(ledger_work.settings(path), as_json=as_json)
