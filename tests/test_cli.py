"""The command line: what each command prints, what it writes, and with which code it ends."""

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from claude_proxy import __version__, cli
from claude_proxy.config.load import default_text, load
from claude_proxy.config.settings import Settings
from claude_proxy.daemon import PortTaken

FIVE_FAULTS = """\
listen:
  port: many
transport:
  header_timeout: soon
  conect_timeout: 5s
routes:
  - { to: [{ upstream: cluade }] }
breaker: { failures: 0 }
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has nothing yet."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_PROXY_CONFIG", "AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=env)


def write(home: Path, text: str) -> str:
    file = home / "mine.yaml"
    file.write_text(text)
    return str(file)


# --- check ---------------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong_without_a_file(home: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "the built-in configuration: nothing wrong\n")


def test_check_finds_nothing_wrong_with_a_good_file(home: Path) -> None:
    file = write(home, "listen: { port: 9 }\n")
    result = run("check", "--config", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: nothing wrong\n")


def test_check_prints_each_of_five_faults_with_its_place_and_ends_with_78(home: Path) -> None:
    file = write(home, FIVE_FAULTS)
    result = run("check", "--config", file)
    *lines, last = result.stderr.splitlines()
    assert result.exit_code == 78
    assert result.stdout == ""
    assert lines == [
        f"{file}:2:9 listen.port: expected a whole number from 0 to 65535, found 'many'",
        f"{file}:4:19 transport.header_timeout: expected a duration such as 500ms, 10s or 5m, found 'soon'",
        f"{file}:5:3 transport.conect_timeout: unknown setting; did you mean 'connect_timeout'?",
        f"{file}:7:24 routes[0].to[0].upstream: there is no upstream 'cluade'; known: claude, minimax",
        f"{file}:8:22 breaker.failures: expected a whole number from 1 to 1000, found 0",
    ]
    assert last.startswith("5 faults in the configuration")


def test_check_counts_a_single_fault_as_one(home: Path) -> None:
    result = run("check", "--config", write(home, "drain_timeout: soon\n"))
    assert result.stderr.splitlines()[-1].startswith("1 fault in the configuration")


def test_check_never_quotes_a_secret(home: Path) -> None:
    result = run("check", "--config", write(home, "upstreams: { claude: { api_key: sk-ant-api03-FAKE-key } }\n"))
    assert result.exit_code == 78
    assert "FAKE" not in result.output
    assert "this looks like a secret" in result.stderr


def test_the_file_may_be_named_by_a_variable(home: Path) -> None:
    file = write(home, "drain_timeout: soon\n")
    assert run("check", env={"CLAUDE_PROXY_CONFIG": file}).exit_code == 78


def test_a_file_that_is_not_there_is_told(home: Path) -> None:
    result = run("check", "--config", str(home / "nowhere.yaml"))
    assert result.exit_code == 78
    assert "nowhere.yaml does not exist; `claude-proxy init` writes one" in result.stderr


# --- serve ---------------------------------------------------------------------------------------------

Load = Callable[[], Settings]


class FakeDaemon:
    """Takes what it is started with, and ends as it is told to."""

    def __init__(self, ends: int | Exception = 0) -> None:
        self.ends = ends
        self.settings: list[Settings] = []
        self.load: Load | None = None

    def __call__(self, settings: Settings, environment: Mapping[str, str], load_again: Load) -> int:
        assert environment["HOME"]
        self.settings.append(settings)
        self.load = load_again
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends


def test_serve_runs_the_daemon_with_the_configuration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon()
    monkeypatch.setattr("claude_proxy.daemon.serve", daemon)
    file = write(home, "drain_timeout: 5s\n")
    assert run("serve", "--config", file).exit_code == 0
    (settings,) = daemon.settings
    assert (settings.drain_timeout, settings.listen.port, settings.log.level) == (5.0, 8082, "info")


def test_the_options_of_serve_go_before_the_file_and_stay_in_force_when_it_is_read_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = FakeDaemon()
    monkeypatch.setattr("claude_proxy.daemon.serve", daemon)
    file = write(home, "listen: { port: 1 }\nlog: { level: warning }\n")
    options = ["--port", "2", "--host", "127.0.0.2", "--log-level", "debug", "--log-format", "json"]
    assert run("serve", "--config", file, *options).exit_code == 0
    Path(file).write_text("listen: { port: 3 }\ndrain_timeout: 7s\n")
    assert daemon.load is not None
    again = daemon.load()
    for settings in (*daemon.settings, again):
        assert (settings.listen.host, settings.listen.port) == ("127.0.0.2", 2)
        assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert again.drain_timeout == 7.0


@pytest.mark.parametrize("code", [0, 1])
def test_serve_ends_with_the_code_of_the_daemon(home: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr("claude_proxy.daemon.serve", FakeDaemon(code))
    assert run("serve").exit_code == code


def test_serve_tells_that_its_port_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_proxy.daemon.serve", FakeDaemon(PortTaken("cannot listen on 127.0.0.1:8082: in use")))
    result = run("serve")
    assert result.exit_code == 78
    assert result.stderr == "claude-proxy: cannot listen on 127.0.0.1:8082: in use\n"


def test_serve_starts_nothing_with_a_faulty_configuration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon()
    monkeypatch.setattr("claude_proxy.daemon.serve", daemon)
    result = run("serve", "--config", write(home, FIVE_FAULTS))
    assert result.exit_code == 78
    assert len(result.stderr.splitlines()) == 6
    assert daemon.settings == []


@pytest.mark.parametrize("option", [("--port", "70000"), ("--port", "x"), ("--log-level", "loud"), ("--nothing",)])
def test_a_wrong_option_of_serve_is_an_error_of_usage(home: Path, option: tuple[str, ...]) -> None:
    result = run("serve", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


# --- explain -------------------------------------------------------------------------------------------


def test_explain_prints_the_route_of_a_model(home: Path) -> None:
    file = write(home, "listen: { port: 0 }\n")
    result = run("explain", "--config", file, "--model", "claude-haiku-4-5-20251001")
    assert result.exit_code == 0
    assert "minimax as MiniMax-M2.5-highspeed" in result.stdout
    assert result.stdout.startswith("model      claude-haiku-4-5-20251001\n")


def test_explain_can_ask_for_a_subagent(home: Path) -> None:
    routes = "[{ agent: sub, to: [{ upstream: minimax }] }, { to: [{ upstream: claude }] }]"
    file = write(home, f"listen: {{ port: 0 }}\nroutes: {routes}\n")
    assert "1. target  claude" in run("explain", "--config", file, "--model", "x").stdout
    assert "1. target  minimax" in run("explain", "--config", file, "--model", "x", "--agent", "sub").stdout


def test_explain_reads_a_request_from_a_file(home: Path) -> None:
    file = write(home, "listen: { port: 0 }\n")
    body = home / "body.json"
    body.write_text(json.dumps({"model": "claude-opus-4-8", "messages": []}))
    result = run("explain", "--config", file, "--request", str(body))
    assert result.exit_code == 0
    assert result.stdout.startswith("model      claude-opus-4-8\n")


def test_explain_tells_what_is_wrong_with_a_request(home: Path) -> None:
    body = home / "body.json"
    body.write_text("[]")
    result = run("explain", "--request", str(body))
    assert result.exit_code == 1
    assert str(body) in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [(), ("--model", "x", "--request", "y")])
def test_explain_needs_either_a_model_or_a_request(home: Path, arguments: tuple[str, ...]) -> None:
    (home / "y").write_text("{}")
    result = run("explain", *(str(home / "y") if part == "y" else part for part in arguments))
    assert result.exit_code == 2
    assert "give either --model NAME, --request FILE or --id ID" in result.stderr


def test_explain_refuses_a_faulty_configuration(home: Path) -> None:
    assert run("explain", "--model", "x", "--config", write(home, FIVE_FAULTS)).exit_code == 78


# --- init ----------------------------------------------------------------------------------------------


def test_init_writes_the_manual_where_only_the_user_may_read_it(home: Path) -> None:
    result = run("init")
    file = home / ".config/claude-proxy/config.yaml"
    assert result.exit_code == 0
    assert result.stdout.startswith(f"wrote {file}\n")
    assert file.read_text() == default_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert run("check").stdout == f"{file}: nothing wrong\n"


def test_what_init_wrote_says_what_is_built_in(home: Path) -> None:
    before: dict[str, Any] = yaml.safe_load(default_text())
    run("init")
    settings = load(None, {})
    assert settings.listen.port == before["listen"]["port"]
    assert set(settings.upstreams) == set(before["upstreams"])


def test_init_leaves_a_file_that_is_there(home: Path) -> None:
    file = home / "mine.yaml"
    file.write_text("# precious\n")
    result = run("init", "--config", str(file))
    assert result.exit_code == 1
    assert f"{file} is there already and was left as it is" in result.stderr
    assert file.read_text() == "# precious\n"


def test_init_overwrites_a_file_where_it_is_told_to_and_makes_it_private(home: Path) -> None:
    file = home / "mine.yaml"
    file.write_text("# not precious\n")
    file.chmod(0o644)
    assert run("init", "--config", str(file), "--force").exit_code == 0
    assert file.read_text() == default_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_init_follows_no_link_that_leads_nowhere_yet(home: Path) -> None:
    link = home / "mine.yaml"
    link.symlink_to(home / "planted")
    result = run("init", "--config", str(link))
    assert result.exit_code == 1
    assert not (home / "planted").exists()


def test_init_tells_where_it_cannot_write(home: Path) -> None:
    (home / "file").write_text("")
    result = run("init", "--config", str(home / "file" / "config.yaml"))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.output


# --- the rest ------------------------------------------------------------------------------------------


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"claude-proxy, version {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(option: str) -> None:
    assert "claude-proxy explain --model" in run(option).stdout
    for command in ("serve", "check", "explain", "init", "status", "login"):
        result = run(command, option)
        assert result.exit_code == 0
        assert "--config" in result.stdout
