"""`claude-proxy prices`: what models cost, by whose word, and how old that is."""

import json
import os
import sys
import time
from pathlib import Path

import click

from claude_proxy.commands.options import config_option, told_if_faulty


@click.command()
@config_option
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def prices(path: Path | None, models: tuple[str, ...], *, as_json: bool) -> None:
    """Say what models cost: those that are named, or those that the configuration knows.

    \b
    In US dollars for a million tokens; for a model that is named also fast mode, batches and web searches.
    Nobody is asked: the prices come with this version, and yours (`prices.models`) go before them.
    Exit codes: 0 all that were named have a price, 1 one has none, 78 faulty configuration.
    """
    from claude_proxy.assembly import listed_models
    from claude_proxy.commands.prices_text import price_lines, price_row
    from claude_proxy.config.load import load
    from claude_proxy.ledger.prices import PriceList

    settings = told_if_faulty(lambda: load(path, os.environ))
    listed, now = PriceList(settings.prices), time.time()
    rows = [price_row(listed, model, now) for model in models or listed_models(settings)]
    if as_json:
        age = {"source": listed.source, "dated": listed.dated, "age_days": listed.age(now)}
        click.echo(json.dumps({**age, "stale": listed.is_stale(now), "models": rows}, indent=2))
    else:
        for line in price_lines(rows, whole=bool(models)):
            click.echo(line)
        click.echo(f"\nFrom {listed.source}, newest change {listed.dated}, {listed.age(now)} days old.")
        if listed.is_stale(now):
            click.echo("That is stale: upgrade claude-proxy, or set what has changed under `prices.models`.")
    sys.exit(int(bool(models) and any(row["source"] is None for row in rows)))
