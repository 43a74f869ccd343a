"""The section `ledger` alone, for commands that read the ledger themselves and need nothing else."""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.config.layers import lay
from claude_proxy.config.ledger import ledger
from claude_proxy.config.reader import Reader
from claude_proxy.ledger.settings import LedgerSettings


def ledger_settings(path: Path | None, environment: Mapping[str, str]) -> LedgerSettings:
    """Raises ConfigurationError where the file cannot be read, or this section is faulty; other sections may be."""
    layers = lay(path, environment)
    settings = ledger(Reader(layers.tree, "", layers.complaints).section("ledger"), environment)
    layers.refuse_if_faulty()
    return settings
