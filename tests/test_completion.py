"""What the real shells complete once they have read our script: commands, options and choices, of both programs."""

import subprocess
from pathlib import Path

import pytest

from claude_proxy.completion import SHELLS
from tests.commands.as_program import on_this_path
from tests.conftest import need
from tests.running import clean_environment
from tests.terminal import program_at_terminal
from tests.toggle import running_it
from tests.toggle.user import User

ASKED = [
    ("claude-proxy expl", ["explain"]),
    ("claude-proxy serve --log-f", ["--log-format"]),
    ("claude-proxy serve --log-level w", ["warning"]),
    ("claude-proxy key s", ["set"]),
    ("claude-proxy paths se", ["service", "settings"]),
    ("proxy-toggle dis", ["disable"]),
    ("proxy-toggle enable --via sh", ["shell"]),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Both programs are on the PATH."""
    user = User(tmp_path / "home")
    running_it.on_this_path(user)
    return {**clean_environment(user.home), "PATH": on_this_path(user), "TERM": "dumb"}


def said_by(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_bash_completes(environment: dict[str, str]) -> None:
    """As bash itself calls what is registered: the words so far, and which of them is being typed."""
    lines = ['eval "$(claude-proxy completion bash)"', 'eval "$(proxy-toggle completion bash)"']
    for line, _ in ASKED:
        words = line.split()
        lines.append(f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMPREPLY=()")
        lines.append(f"call=$(complete -p {words[0]}); call=${{call#*-F }}; ${{call% *}} {words[0]}")
        lines.append('echo "${COMPREPLY[*]}"')
    said = said_by(environment, need("bash", "apt-get install bash"), "--norc", "-c", "\n".join(lines))
    assert [line.split() for line in said.splitlines()] == [expected for _, expected in ASKED]


def test_fish_completes(environment: dict[str, str]) -> None:
    lines = ["claude-proxy completion fish | source", "proxy-toggle completion fish | source"]
    lines += [f"echo (complete -C '{line}' | string replace -r '\\t.*' '')" for line, _ in ASKED]
    said = said_by(environment, need("fish", "apt-get install fish"), "--no-config", "-c", "\n".join(lines))
    assert [line.split() for line in said.splitlines()] == [expected for _, expected in ASKED]


def test_zsh_completes_what_is_typed(environment: dict[str, str], tmp_path: Path) -> None:
    """At a terminal, since nothing else has it complete: what it makes of a word and Tab is then run."""
    zsh = need("zsh", "apt-get install zsh")
    with program_at_terminal(tmp_path, environment, zsh, "-f", "-i") as terminal:
        terminal.types("autoload -Uz compinit && compinit -D -u\r")
        terminal.types('eval "$(claude-proxy completion zsh)"; eval "$(proxy-toggle completion zsh)"; echo re""ady\r')
        terminal.shows("ready")
        terminal.types("claude-proxy expl\t\r")
        terminal.shows("give either --model NAME or --request FILE")
        terminal.types("proxy-toggle enable --via no\t--url nowhere\r")
        terminal.shows("is not an address of a daemon")
        terminal.types("exit 7\r")
        assert terminal.ends() == 7


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_is_of_the_program_that_prints_it(environment: dict[str, str], shell: str) -> None:
    ours, other = (said_by(environment, name, "completion", shell) for name in ("claude-proxy", "proxy-toggle"))
    assert "_CLAUDE_PROXY_COMPLETE" in ours
    assert "_PROXY_TOGGLE_COMPLETE" in other
    assert "proxy-toggle" not in ours
