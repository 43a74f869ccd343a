"""`claude-proxy explain`: what it takes as a question, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.commands.invoking import FIVE_FAULTS, run, written


def test_explain_prints_the_route_of_a_model(home: Path) -> None:
    file = written(home, "listen: { port: 0 }\n")
    result = run("explain", "--config", file, "--model", "claude-haiku-4-5-20251001")
    assert result.exit_code == 0
    assert "minimax as MiniMax-M2.5-highspeed" in result.stdout
    assert result.stdout.startswith("model      claude-haiku-4-5-20251001\n")


def test_explain_can_ask_for_a_subagent(home: Path) -> None:
    routes = "[{ agent: sub, to: [{ upstream: minimax }] }, { to: [{ upstream: claude }] }]"
    file = written(home, f"listen: {{ port: 0 }}\nroutes: {routes}\n")
    assert "1. target  claude" in run("explain", "--config", file, "--model", "x").stdout
    assert "1. target  minimax" in run("explain", "--config", file, "--model", "x", "--agent", "sub").stdout


def test_explain_reads_a_request_from_a_file(home: Path) -> None:
    file = written(home, "listen: { port: 0 }\n")
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
    assert run("explain", "--model", "x", "--config", written(home, FIVE_FAULTS)).exit_code == 78
