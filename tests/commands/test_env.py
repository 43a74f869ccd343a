"""`claude-proxy env`: lines that real shells evaluate, there and back."""

from pathlib import Path
from typing import Any

import pytest

from claude_proxy.toggle.haiku import HAIKU
from claude_proxy.toggle.settings_text import BASE_URL, HAIKU_MODEL, TOOL_SEARCH
from tests.closed_port import refusing_url
from tests.commands.as_program import claude_proxy, on_this_path
from tests.conftest import need
from tests.in_process import in_process
from tests.toggle.running_it import run_program
from tests.toggle.user import GATEWAY, URL, User

KEY = {"FAKE_MINIMAX_KEY": "FAKE-minimax-key"}
NAMES = (BASE_URL, TOOL_SEARCH, HAIKU_MODEL)
TELL = "; ".join(f'printf "%s|" "${name}"' for name in NAMES)
POSIX = f'eval "$(claude-proxy env)"; {TELL}; eval "$(claude-proxy env --unset)"; {TELL}'
SHELLS = [
    pytest.param("sh", POSIX, id="sh"),
    pytest.param("bash", POSIX.replace("env)", "env --shell bash)"), id="bash"),
    pytest.param("zsh", POSIX.replace("env)", "env --shell zsh)"), id="zsh"),
    pytest.param(
        "fish",
        f"claude-proxy env --shell fish | source; {TELL}; claude-proxy env --shell fish --unset | source; {TELL}",
        id="fish",
    ),
    pytest.param(
        "fish",
        f"eval (claude-proxy env --shell fish); {TELL}; eval (claude-proxy env --unset --shell fish); {TELL}",
        id="fish, by eval",
    ),
]


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path / "home")


def daemon_of(tmp_path: Path, env: dict[str, str] | None = None, **config: Any) -> Any:
    (tmp_path / "daemon").mkdir(exist_ok=True)
    return in_process(tmp_path / "daemon", config, env)


@pytest.mark.parametrize(("shell", "line"), SHELLS)
async def test_shells_evaluate_the_lines_there_and_back(shell: str, line: str, user: User, tmp_path: Path) -> None:
    program = need(shell, f"apt-get install {shell}")
    async with daemon_of(tmp_path, KEY) as daemon:
        user.write(".config/claude-proxy/config.yaml", f"listen: {{ port: {daemon.port} }}\n")
        before = user.tree()
        ran = await run_program(user, program, "-c", line, PATH=on_this_path(user))
        (user.home / "bin/claude-proxy").unlink()
    assert ran.out == f"{daemon.url}|true|{HAIKU}||||"
    assert (ran.code, ran.err) == (0, "")
    assert not user.settings.exists()
    assert not user.places.state.exists()
    assert {name: value for name, value in user.tree().items() if name in before} == before


async def test_nothing_is_printed_while_nobody_answers_but_by_force(user: User) -> None:
    with refusing_url() as url:
        refused = await claude_proxy(user, "env", "--url", url)
        forced = await claude_proxy(user, "env", "--url", url, "--force")
    assert (refused.code, refused.out) == (3, "")
    assert "nothing was printed. Start the daemon: claude-proxy service start" in refused.err
    assert (forced.code, forced.out) == (0, f"export {BASE_URL}={url}\nexport {TOOL_SEARCH}=true\n")
    assert f"! {url}: nothing answers there" in forced.err


async def test_what_would_spoil_it_is_told_where_it_is_not_evaluated(user: User, tmp_path: Path) -> None:
    user.write(".claude/settings.json", f'{{"env": {{"{BASE_URL}": "{GATEWAY}"}}}}')
    async with daemon_of(tmp_path) as daemon:
        ran = await claude_proxy(user, "env", "--url", daemon.url)
    assert ran.out == f"export {BASE_URL}={daemon.url}\nexport {TOOL_SEARCH}=true\n"
    assert ran.err.startswith(f"! ~/.claude/settings.json has {BASE_URL} = {GATEWAY}, which wins over this")


async def test_only_what_is_ours_is_taken_back(user: User) -> None:
    """It needs neither daemon nor a configuration that can be read."""
    user.write(".config/claude-proxy/config.yaml", "listen: [\n")
    other = await claude_proxy(user, "env", "--unset", **{BASE_URL: GATEWAY, TOOL_SEARCH: "true", HAIKU_MODEL: "mine"})
    assert (other.code, other.out) == (0, "")
    assert other.err == f"! {BASE_URL} = {GATEWAY} is not known as an address of this proxy, and stays\n"
    ours = await claude_proxy(user, "env", "--unset", **{BASE_URL: URL, TOOL_SEARCH: "auto", HAIKU_MODEL: HAIKU})
    assert (ours.code, ours.out, ours.err) == (0, f"unset {BASE_URL}\nunset {HAIKU_MODEL}\n", "")
    named = await claude_proxy(
        user, "env", "--unset", "--url", "http://127.0.0.1:9", **{BASE_URL: "http://127.0.0.1:9"}
    )
    assert named.out == f"unset {BASE_URL}\n"
    assert (await claude_proxy(user, "env", "--unset")).out == ""
