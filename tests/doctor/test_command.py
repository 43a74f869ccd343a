"""`claude-proxy doctor` as a person starts it."""

import subprocess
import sys
from pathlib import Path

from tests.closed_port import refusing_url
from tests.running import clean_environment


def doctor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "claude_proxy", "doctor", *arguments],
        env=clean_environment(home, {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_in_words_the_first_break_is_the_first_line_and_no_pipe_gets_colours(tmp_path: Path) -> None:
    with refusing_url() as url:
        file = tmp_path / "config.yaml"
        port = url.rpartition(":")[2]
        file.write_text(
            f"listen: {{ port: {port} }}\nupstreams: {{ claude: {{ base_url: {url} }} }}\n"
            "credentials: { minimax: { sources: [] } }\n"
        )
        done = doctor(tmp_path, "--config", str(file))
    assert (done.returncode, done.stderr) == (2, "")
    first, remedy, *rest = done.stdout.splitlines()
    assert first == f"✗ nothing answers on 127.0.0.1:{port} (connection refused)"
    assert remedy.endswith(f"claude-proxy serve --config {file}")
    assert rest[1:3] == ["✓ Installation  well", "✓ Configuration well"]
    assert "\x1b" not in done.stdout


def test_the_help_says_what_the_probe_costs_and_what_the_codes_mean(tmp_path: Path) -> None:
    said = " ".join(doctor(tmp_path, "--help").stdout.split())
    assert "--probe Also send one real request to each upstream, which costs." in said
    assert "Your Claude login is not lent to that" in said
    assert "Exit codes: 0 well, 1 degraded: warnings alone, 2 broken." in said
