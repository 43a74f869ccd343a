"""The stored login serves the real Claude Code and nothing else: not curl, not the SDK, not another agent."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import pytest
import pytest_asyncio

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.conftest import need
from tests.official_sdk import MODEL, official_sdk
from tests.paths.logins import CONFIGURED_KEY, STORED_TOKEN, credentials_of, message_of, say_hi, to, write_login_file
from tests.running import Daemon, running
from tests.stand_in import StandIn

MESSAGE = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})
REMEDY = ["does not come from Claude Code", "send an API key of your own in x-api-key", "REAL_ANTHROPIC_API_KEY"]


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn() as running_one:
        yield running_one


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, upstream: StandIn) -> AsyncIterator[Daemon]:
    """One that holds the stored login already: Claude Code has asked before the strangers come."""
    home = tmp_path / "daemon"
    write_login_file(home / ".claude", stored_login(STORED_TOKEN))
    async with running(home, to(upstream)) as running_one:
        assert (await say_hi(running_one, PLACEHOLDER)).status == 200
        assert bearer_of(upstream.received.pop()) == STORED_TOKEN
        yield running_one


async def curl(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """What the real curl says: the status, and headers with body."""
    process = await asyncio.create_subprocess_exec(
        *(need("curl", "apt-get install curl"), "--silent", "--include", "--noproxy", "*"),
        *("--header", "Content-Type: application/json", "--data", json.dumps(MESSAGE), *arguments),
        f"{daemon.url}/v1/messages",
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return int(output.split(b" ")[1]), output.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--header", f"x-api-key: {SENTINEL}"),
        ("--header", f"Authorization: Bearer {SENTINEL}"),
        ("--header", f"x-api-key: {SENTINEL}", "--user-agent", "claude-cli/2.1.197 (external, cli)"),
    ],
    ids=["nothing", "a placeholder for a key", "a placeholder for a token", "another's name"],
)
async def test_curl_is_told_to_bring_an_api_key(daemon: Daemon, upstream: StandIn, arguments: tuple[str, ...]) -> None:
    status, said = await curl(daemon, *arguments)
    assert status == 403
    for words in REMEDY:
        assert words in said
    assert STORED_TOKEN not in said
    assert upstream.received == []


@pytest.mark.parametrize("credential", [{"api_key": SENTINEL}, {"auth_token": SENTINEL}], ids=["key", "token"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_official_sdk_is_told_to_bring_an_api_key(
    daemon: Daemon, upstream: StandIn, credential: dict[str, str], stream: bool
) -> None:
    async with official_sdk(daemon.url, **credential) as sdk:
        with pytest.raises(anthropic.PermissionDeniedError) as refusal:
            await sdk.messages.create(
                model=MODEL, max_tokens=16, messages=[{"role": "user", "content": "hi"}], stream=stream
            )
    for words in REMEDY:
        assert words in str(refusal.value)
    assert upstream.received == []


AGENTS = [
    "opencode/1.4.0",
    "Cline/3.20.1",
    "codex_cli_rs/0.98.0",
    "aider/0.92.0",
    "Anthropic/Python 0.75.0",
    "claude-cli-sdk/1.0",
    "Claude-CLI/2.1.197",
]


@pytest.mark.parametrize("agent", AGENTS)
async def test_another_agent_is_refused_even_with_all_else_that_claude_code_sends(
    daemon: Daemon, upstream: StandIn, agent: str
) -> None:
    reply = await say_hi(daemon, claude_headers({"x-api-key": SENTINEL}, user_agent=agent))
    assert_refused(reply)
    assert upstream.received == []


@pytest.mark.parametrize("missing", ["User-Agent", "x-app", "anthropic-beta", "metadata"])
async def test_a_spoof_that_lacks_one_mark_is_refused(daemon: Daemon, upstream: StandIn, missing: str) -> None:
    headers = claude_headers({"x-api-key": SENTINEL})
    headers.pop(missing, None)
    if missing == "User-Agent":
        headers["User-Agent"] = ""
    body = claude_body(metadata=None) if missing == "metadata" else claude_body()
    assert_refused(await ask(f"{daemon.url}/v1/messages?beta=true", body, headers))
    assert upstream.received == []


def assert_refused(reply: Reply) -> None:
    assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
    for words in REMEDY:
        assert words in message_of(reply)
    assert STORED_TOKEN not in reply.body.decode() + str(reply.headers)


async def test_who_does_what_the_refusal_says_is_served(tmp_path: Path, daemon: Daemon, upstream: StandIn) -> None:
    own = "sk-ant-api03-FAKE-of-the-caller"
    status, _ = await curl(daemon, "--header", f"x-api-key: {own}")
    assert status == 200
    env = {"REAL_ANTHROPIC_API_KEY": CONFIGURED_KEY}
    async with running(tmp_path / "with a key", to(upstream), env) as another:
        status, _ = await curl(another, "--header", f"x-api-key: {SENTINEL}")
        assert status == 200
    sent = [credentials_of(received) for received in upstream.received]
    assert sent == [[("x-api-key", own)], [("x-api-key", CONFIGURED_KEY)]]


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_the_real_claude_code_is_served(
    tmp_path: Path, daemon: Daemon, upstream: StandIn, claude_program: str, variable: str
) -> None:
    home = tmp_path / "client"
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(claude_program, "-p", "say hi"),
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "ANTHROPIC_BASE_URL": daemon.url,
            variable: SENTINEL,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        printed, errors = await process.communicate()
    assert (process.returncode, printed.decode().strip()) == (0, "hello"), errors.decode()
    asked = [received for received in upstream.received if received.method == "POST"]
    assert {bearer_of(received) for received in asked} == {STORED_TOKEN}
