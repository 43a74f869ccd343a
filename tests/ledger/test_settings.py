"""The settings of the ledger are a value: a reload puts another in its place."""

from pathlib import Path

import pytest

from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.store import Retention


def test_settings_do_not_change() -> None:
    settings = LedgerSettings(True, Path("/x"), Retention(1, 2), True, 3, 6, 0.1, 4, 5)
    with pytest.raises(AttributeError, match="immutable"):
        settings.bodies = False  # type: ignore[misc]  # that is what is tried
