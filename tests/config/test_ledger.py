"""Where exchanges are recorded, what is kept of them, and for how long."""

from pathlib import Path

import pytest

from claude_proxy.config.load import load
from claude_proxy.config.tree import ConfigurationError
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.store import Retention


def loaded(tmp_path: Path, text: str, **environment: str) -> LedgerSettings:
    path = tmp_path / "config.yaml"
    path.write_text(f"ledger: {text}")
    return load(path, {"HOME": "/home/someone", **environment}).ledger


def test_without_a_word_everything_is_kept_for_ninety_days_in_the_user_s_own_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, "{}")
    assert found.path == Path("/home/someone/.local/share/claude-proxy/ledger.db")
    assert found.retention == Retention(90 * 24 * 3600, 2 << 30)
    assert (found.enabled, found.bodies, found.flush_interval) == (True, True, 1.0)


def test_xdg_says_where_the_user_s_own_place_is(tmp_path: Path) -> None:
    assert loaded(tmp_path, "{}", XDG_DATA_HOME="/data").path == Path("/data/claude-proxy/ledger.db")


@pytest.mark.parametrize("url", ["sqlite:///srv/ledger.db", "sqlite:////srv/ledger.db"])
def test_a_url_names_a_file(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, f"{{url: '{url}'}}").path == Path("/srv/ledger.db")


@pytest.mark.parametrize(
    "url", ["postgresql://u:FAKE-password@h/d", "/srv/ledger.db", "sqlite:///", "sqlite://", "sqlite:///x?mode=ro"]
)
def test_what_is_no_such_url_is_refused_and_no_secret_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, f"{{url: '{url}'}}")
    told = "\n".join(map(str, refused.value.complaints))
    assert "ledger.url" in told
    assert "sqlite:///" in told
    assert "FAKE" not in told


def test_each_can_be_set(tmp_path: Path) -> None:
    text = "{enabled: false, keep: 7d, max_size: 100MiB, bodies: false, max_answer: 1MiB, flush_interval: 50ms,"
    text += " max_request: 2MiB,"
    found = loaded(tmp_path, text + " queue_records: 5, queue_size: 1KiB}")
    path = Path("/home/someone/.local/share/claude-proxy/ledger.db")
    assert found == LedgerSettings(False, path, Retention(7 * 86400, 100 << 20), False, 1 << 20, 2 << 20, 0.05, 5, 1024)
