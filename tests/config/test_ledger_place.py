"""Where the ledger lies, read without the rest of the configuration, and the same as with it."""

from pathlib import Path

import pytest

from claude_proxy.config.ledger_place import ledger_settings
from claude_proxy.config.load import load
from claude_proxy.config.tree import ConfigurationError


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("", {}),
        ("ledger: { url: 'sqlite:///srv/x/ledger.db', enabled: false }\n", {}),
        ("", {"CLAUDE_PROXY_LEDGER__URL": "sqlite:///srv/y.db"}),
        ("", {"XDG_DATA_HOME": "/srv/share"}),
    ],
)
def test_it_is_the_place_where_the_daemon_records(text: str, environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    environment = {"HOME": str(tmp_path), **environment}
    assert ledger_settings(file, environment) == load(file, environment).ledger


def test_a_fault_elsewhere_keeps_nobody_from_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("routes: nonsense\nledger: { url: 'sqlite:///srv/x.db' }\n")
    assert ledger_settings(file, {}).path == Path("/srv/x.db")
    file.write_text("ledger: { url: here, keep: for ever }\n")
    with pytest.raises(ConfigurationError) as refused:
        ledger_settings(file, {})
    assert [complaint.path for complaint in refused.value.complaints] == ["ledger.url", "ledger.keep"]
