"""What the checks read of the configuration: all of it, or why it cannot be read."""

from pathlib import Path

import pytest

from claude_proxy.doctor.whole_case import WholeCase


def case(home: Path, text: str) -> WholeCase:
    file = home / "mine.yaml"
    file.write_text(text)
    return WholeCase(file, {"HOME": str(home)}, probing=False)


def test_the_upstreams_that_routes_lead_to(tmp_path: Path) -> None:
    found = case(tmp_path, "upstreams: { unused: { preset: kimi, credential: minimax } }\n")
    assert found.routed() == ["minimax", "claude"]
    assert found.complaints == ()
    assert found.token_file is None


def test_a_faulty_one_is_complained_of_and_leads_nowhere(tmp_path: Path) -> None:
    found = case(tmp_path, "listn: {}\nretrys: {}\n")
    assert [complaint.path for complaint in found.complaints] == ["listn", "retrys"]
    assert (found.settings, found.routed()) == (None, [])


@pytest.mark.parametrize("named", ["~/token", "HOME/token"])
def test_the_file_of_the_access_token(tmp_path: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = case(tmp_path, f"access: {{ token: {{ file: {named.replace('HOME', str(tmp_path))} }} }}\n")
    assert found.token_file == tmp_path / "token"
