"""`claude-proxy usage`: what it is asked, and since when; light, though it reads the ledger."""

import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.commands.invoking import as_json, configured, run


def since(text: str, home: Path) -> datetime:
    told = as_json(run("usage", "--json", "--since", text, "--config", configured(home)))["since"]
    return datetime.fromisoformat(told)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_day_is_meant_from_its_begin_and_a_time_to_the_minute(tmp_path: Path) -> None:
    assert since("2026-11-26", tmp_path) == datetime(2026, 11, 26).astimezone()
    assert since("2026-11-26T12:30", tmp_path) == datetime(2026, 11, 26, 12, 30).astimezone()
    assert since("2026-11-26T12:30:00+00:00", tmp_path) == datetime.fromisoformat("2026-11-26T12:30:00Z")


def test_days_and_weeks_ago_are_whole_days_and_today_is_one_of_them(tmp_path: Path) -> None:
    today = datetime.now().astimezone().date()
    assert since("1d", tmp_path).date() == today
    assert since("7d", tmp_path).date() == today - timedelta(days=6)
    assert since("2w", tmp_path).date() == today - timedelta(days=13)
    assert (since("7d", tmp_path).hour, since("7d", tmp_path).minute) == (0, 0)
    assert abs(since("3h", tmp_path).timestamp() - time.time() + 3 * 3600) < 60


@pytest.mark.parametrize("text", ["yesterday", "7", "d", "0d", "2026-13-01", "-1d", "999999w", "26-11-2026"])
def test_what_is_no_time_is_refused(text: str, tmp_path: Path) -> None:
    result = run("usage", "--since", text, "--config", configured(tmp_path))
    assert result.exit_code == 2
    assert "is no time; give 2026-11-26" in result.stderr


def test_what_it_is_asked_is_checked(tmp_path: Path) -> None:
    assert "'day', 'week', 'month', 'session', 'project', 'model'" in run("usage", "year").stderr
    assert "either --json or --csv" in run("usage", "--json", "--csv", "--config", configured(tmp_path)).stderr


def test_nothing_of_the_house_is_imported_for_it() -> None:
    code = (
        "import sys\n"
        "from claude_proxy.commands.usage_report import report\n"
        "print([name for name in ('aiohttp', 'keyring', 'prometheus_client', 'claude_proxy.assembly') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
