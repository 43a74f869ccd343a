"""`claude-proxy check`: every fault with its place, at once, and no secret."""

from pathlib import Path

from tests.commands.invoking import FIVE_FAULTS, run, written


def test_check_finds_nothing_wrong_without_a_file(home: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "the built-in configuration: nothing wrong\n")


def test_check_finds_nothing_wrong_with_a_good_file(home: Path) -> None:
    file = written(home, "listen: { port: 9 }\n")
    result = run("check", "--config", file)
    assert (result.exit_code, result.stdout) == (0, f"{file}: nothing wrong\n")


def test_check_prints_each_of_five_faults_with_its_place_and_ends_with_78(home: Path) -> None:
    file = written(home, FIVE_FAULTS)
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
    result = run("check", "--config", written(home, "drain_timeout: soon\n"))
    assert result.stderr.splitlines()[-1].startswith("1 fault in the configuration")


def test_check_never_quotes_a_secret(home: Path) -> None:
    result = run("check", "--config", written(home, "upstreams: { claude: { api_key: sk-ant-api03-FAKE-key } }\n"))
    assert result.exit_code == 78
    assert "FAKE" not in result.output
    assert "this looks like a secret" in result.stderr


def test_the_file_may_be_named_by_a_variable(home: Path) -> None:
    file = written(home, "drain_timeout: soon\n")
    assert run("check", env={"CLAUDE_PROXY_CONFIG": file}).exit_code == 78


def test_a_file_that_is_not_there_is_told(home: Path) -> None:
    result = run("check", "--config", str(home / "nowhere.yaml"))
    assert result.exit_code == 78
    assert "nowhere.yaml does not exist; `claude-proxy init` writes one" in result.stderr


def test_check_tells_of_a_variable_that_is_not_used(home: Path) -> None:
    result = run("check", env={"SUBAGENT_MAPPINGS": "reviewer:gpt", "OPENAI_API_KEY": "FAKE"})
    assert (result.exit_code, result.stdout) == (0, "the built-in configuration: nothing wrong\n")
    assert result.stderr.startswith("variable SUBAGENT_MAPPINGS is not used: no subagent is routed by its name; write")
    assert len(result.stderr.splitlines()) == 1
