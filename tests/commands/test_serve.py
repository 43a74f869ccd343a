"""`claude-proxy serve`: with which settings it runs the daemon, and with which code it ends."""

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme

from claude_proxy.commands import serve
from claude_proxy.config.settings import Settings
from claude_proxy.daemon import PortTaken
from tests.commands.invoking import FIVE_FAULTS, run, written

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
    file = written(home, "drain_timeout: 5s\n")
    assert run("serve", "--config", file).exit_code == 0
    (settings,) = daemon.settings
    assert (settings.drain_timeout, settings.listen.port, settings.log.level) == (5.0, 8082, "info")


def test_the_options_of_serve_go_before_the_file_and_stay_in_force_when_it_is_read_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = FakeDaemon()
    monkeypatch.setattr("claude_proxy.daemon.serve", daemon)
    file = written(home, "listen: { port: 1 }\nlog: { level: warning }\n")
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
    result = run("serve", "--config", written(home, FIVE_FAULTS))
    assert result.exit_code == 78
    assert len(result.stderr.splitlines()) == 6
    assert daemon.settings == []


@pytest.mark.parametrize("option", [("--port", "70000"), ("--port", "x"), ("--log-level", "loud"), ("--nothing",)])
def test_a_wrong_option_of_serve_is_an_error_of_usage(home: Path, option: tuple[str, ...]) -> None:
    result = run("serve", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


@pytest.mark.parametrize("before", [None, "authorities.pem"])
def test_no_authorities_are_read_while_it_is_imported_and_the_variable_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "authorities.pem")
    monkeypatch.chdir(tmp_path)
    if before is None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", before)
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 1
    with serve._authorities_unread():
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 0
    assert os.environ.get("SSL_CERT_FILE") == before
