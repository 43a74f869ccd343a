"""The dashboard's password is named in the configuration and never stands there."""

from pathlib import Path

from tests.config.loading import faults, loaded


def test_the_dashboard_s_password_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").access.dashboard_password == ""
    assert loaded(tmp_path, "", {"DASHBOARD_PASSWORD": "FAKE word"}).access.dashboard_password == "FAKE word"
    (tmp_path / "word").write_text("FAKE-in-file\n")
    there = f"access: {{ dashboard_password: {{ file: '{tmp_path / 'word'}' }} }}\n"
    assert loaded(tmp_path, there).access.dashboard_password == "FAKE-in-file"
    (told,) = faults(tmp_path, "access: { dashboard_password: hunter22 }\n")
    assert "access.dashboard_password: expected a reference" in told
    assert "hunter22" not in told
    (tmp_path / "word").write_text("")
    (told,) = faults(tmp_path, there)
    assert "is empty, and without a password whoever can reach the port could use it" in told
