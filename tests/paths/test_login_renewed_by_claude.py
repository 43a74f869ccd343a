"""The real Claude Code renews the stored login at the daemon's request, at a token endpoint that rotates."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.claude_code import fresh_home
from tests.claude_request import SENTINEL, bearer_of, claude_headers
from tests.paths.logins import message_of, say_hi, to
from tests.running import Daemon, eventually, running
from tests.stand_in import StandIn, fails
from tests.token_endpoint import TokenEndpoint, token_endpoint

OLD_TOKEN = "sk-ant-oat01-FAKE-old-login"
OLD_REFRESH_TOKEN = "sk-ant-ort01-FAKE-old-refresh"
PLACEHOLDER = claude_headers({"x-api-key": SENTINEL})


@dataclass
class Place:
    """A user's home with an expired login, the endpoint that renews it, the upstream, the daemon, and each run."""

    home: Path
    endpoint: TokenEndpoint
    upstream: StandIn
    daemon: Daemon
    program: str

    @property
    def stored(self) -> dict[str, Any]:
        """The login as it lies in the store."""
        whole = json.loads((self.home / ".claude" / ".credentials.json").read_text())
        return dict(whole["claudeAiOauth"])

    @property
    def runs(self) -> list[int]:
        """The process of each `claude` that the daemon has run; it leads a group of its own."""
        notes = self.home / "runs"
        return [int(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    @property
    def renewing(self) -> bool:
        return (self.home / ".claude" / ".oauth_refresh.lock").exists()

    def store(self, seconds_left: float) -> None:
        """Puts the login there with this much of its life left."""
        path = self.home / ".claude" / ".credentials.json"
        login = json.loads(path.read_text())
        expires_at = int((time.time() + seconds_left) * 1000)
        login["claudeAiOauth"].update(accessToken=OLD_TOKEN, refreshToken=OLD_REFRESH_TOKEN, expiresAt=expires_at)
        path.write_text(json.dumps(login))

    def assert_the_newest_is_stored(self) -> None:
        assert self.stored["refreshToken"] == self.endpoint.newest
        assert self.stored["accessToken"] == self.endpoint.access_token
        assert (self.endpoint.renewals, self.endpoint.refused) == (1, 0)

    def assert_no_refresh_token_of_ours(self) -> None:
        """Only the client's own requests for new tokens carried one, and each came from the client itself."""
        seen = "".join(f"{got.target} {got.headers} {got.body!r}" for got in self.upstream.received)
        for text in (seen, self.endpoint.everything, self.daemon.log):
            assert "sk-ant-ort01" not in text
        assert len(self.endpoint.asked) == self.endpoint.renewals + self.endpoint.refused

    async def client(self, *, placeholder: bool = False) -> tuple[int | None, str]:
        """The user's own client in the same home, asking through the daemon; what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(self.program, "-p", "say hi"),
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "USER": "tester",
                "DISABLE_AUTOUPDATER": "1",
                "ANTHROPIC_BASE_URL": self.daemon.url,
                **self.endpoint.environment,
                **({"ANTHROPIC_AUTH_TOKEN": SENTINEL} if placeholder else {}),
            },
            cwd=self.home / "work",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(60):
                output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode, output.decode().strip()


@contextlib.asynccontextmanager
async def place(tmp_path: Path, program: str, seconds_left: float = -60, **credential: Any) -> AsyncIterator[Place]:
    """All of it. The daemon's `claude` is a script that notes the run and then becomes the real one."""
    home = tmp_path / "home"
    fresh_home(home)
    (home / "bin").mkdir()
    script = home / "bin" / "claude"
    script.write_text(f'#!/bin/sh\necho $$ >> {shlex.quote(str(home / "runs"))}\nexec {shlex.quote(program)} "$@"\n')
    script.chmod(0o700)
    async with token_endpoint(tmp_path, OLD_REFRESH_TOKEN) as endpoint, StandIn() as upstream:
        env = {**endpoint.environment, "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
        env["CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH"] = "delegate"
        async with running(home, to(upstream, **credential) if credential else to(upstream), env) as daemon:
            here = Place(home, endpoint, upstream, daemon, program)
            here.store(seconds_left)
            yield here


async def fifty(daemon: Daemon) -> list[Reply]:
    return await asyncio.gather(*(say_hi(daemon, PLACEHOLDER) for _ in range(50)))


async def test_fifty_requests_that_meet_an_expired_login_wait_for_one_renewal(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        replies = await fifty(here.daemon)
        assert {reply.status for reply in replies} == {200}, replies[0].body
        assert {bearer_of(received) for received in here.upstream.received} == {here.endpoint.access_token}
        assert len(here.runs) == 1
        here.assert_the_newest_is_stored()
        here.assert_no_refresh_token_of_ours()
        await here.daemon.logged("event=login_refresh outcome=renewed")
        health = (await ask(f"{here.daemon.url}/health", method="GET")).json()["credentials"]["claude"]
        assert (health["refresh"], health["last_refresh"]["outcome"]) == ("delegate", "renewed")


async def test_the_users_own_client_the_daemon_and_fifty_requests_share_one_renewal(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        client = asyncio.create_task(here.client())
        replies = await fifty(here.daemon)
        code, printed = await client
        assert (code, printed) == (0, "hello")
        assert {reply.status for reply in replies} == {200}, replies[0].body
        assert {bearer_of(received) for received in here.upstream.received if received.method == "POST"} == {
            here.endpoint.access_token
        }
        here.assert_the_newest_is_stored()
        here.assert_no_refresh_token_of_ours()


async def test_while_the_users_own_client_renews_the_daemon_waits_and_runs_nothing(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        here.endpoint.seconds = 2.0
        client = asyncio.create_task(here.client())
        await eventually(lambda: here.renewing, 30)
        replies = await fifty(here.daemon)
        assert {reply.status for reply in replies} == {200}, replies[0].body
        assert await client == (0, "hello")
        assert here.runs == []
        here.assert_the_newest_is_stored()
        here.assert_no_refresh_token_of_ours()


async def test_a_client_that_is_renewing_is_not_cut_off_by_the_time_limit(tmp_path: Path, claude_program: str) -> None:
    """This version of the client would lose the login that is on its way to it."""
    async with place(tmp_path, claude_program, refresh_timeout="6s") as here:
        here.endpoint.seconds = 7.0
        assert (await say_hi(here.daemon, PLACEHOLDER)).status == 200
        here.assert_the_newest_is_stored()


async def test_a_daemon_that_stops_lets_the_renewal_end_and_leaves_no_client_behind(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        here.endpoint.seconds = 2.0
        asking = asyncio.create_task(say_hi(here.daemon, PLACEHOLDER))
        await eventually(lambda: here.renewing, 30)
        asking.cancel()  # nothing is in flight, so that the daemon could go at once
        await asyncio.wait([asking])
        assert await here.daemon.stop() == 0
        here.assert_the_newest_is_stored()
        assert not here.renewing
        (leader,) = here.runs
        await eventually(lambda: not is_a_group(leader))


def is_a_group(leader: int) -> bool:
    """Whether any process is left of a group."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("seconds_left", "renewals"), [(290, 1), (330, 0)], ids=["in its last minutes", "before"])
async def test_a_login_is_renewed_in_its_last_five_minutes_and_not_before(
    tmp_path: Path, claude_program: str, seconds_left: float, renewals: int
) -> None:
    async with place(tmp_path, claude_program, seconds_left) as here:
        assert (await say_hi(here.daemon, PLACEHOLDER)).status == 200
        assert (here.endpoint.renewals, len(here.runs)) == (renewals, renewals)
        used = here.endpoint.access_token if renewals else OLD_TOKEN
        assert [bearer_of(received) for received in here.upstream.received] == [used]


HOSTILE: dict[str, Any] = {
    "a placeholder for a token": {
        "env": {"ANTHROPIC_AUTH_TOKEN": SENTINEL, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    },
    "a placeholder for a key": {"apiKeyHelper": f"echo {SENTINEL}"},
    "little traffic": {"env": {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}},
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_the_users_settings_hooks_and_servers_have_no_part_in_it(
    tmp_path: Path, claude_program: str, case: str
) -> None:
    """With each of these this version of the client ends `claude -p /cost` before the new login is stored."""
    async with place(tmp_path, claude_program) as here:
        hook = {"type": "command", "command": f"touch {shlex.quote(str(here.home / 'hook'))}"}
        settings = {**HOSTILE[case], "hooks": {"SessionStart": [{"hooks": [hook]}], "SessionEnd": [{"hooks": [hook]}]}}
        (here.home / ".claude" / "settings.json").write_text(json.dumps(settings))
        state = json.loads((here.home / ".claude.json").read_text())
        state["mcpServers"] = {"x": {"command": "touch", "args": [str(here.home / "server")]}}
        (here.home / ".claude.json").write_text(json.dumps(state))
        here.endpoint.seconds = 1.0
        assert (await say_hi(here.daemon, PLACEHOLDER)).status == 200
        here.assert_the_newest_is_stored()
        assert not (here.home / "hook").exists()
        assert not (here.home / "server").exists()
        assert not any(
            received.method == "POST" and "messages" in received.path for received in here.endpoint.server.received
        )


async def test_an_endpoint_that_fails_costs_no_login_and_is_not_asked_again_at_once(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        here.endpoint.broken = True
        for _ in range(2):
            reply = await say_hi(here.daemon, PLACEHOLDER)
            assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
            assert "run `claude` once" in message_of(reply)
        assert "is not asked again for" in message_of(reply)
        assert len(here.runs) == 1
        assert (here.stored["accessToken"], here.stored["refreshToken"]) == (OLD_TOKEN, OLD_REFRESH_TOKEN)
        assert here.upstream.received == []
        # The user does what the message says, and needs not wait for the daemon.
        here.endpoint.broken = False
        assert (await here.client())[0] == 0
        async with asyncio.timeout(20):
            while (await say_hi(here.daemon, PLACEHOLDER)).status != 200:
                await asyncio.sleep(0.2)
        assert len(here.runs) == 1
        here.assert_the_newest_is_stored()


async def test_a_login_that_the_endpoint_no_longer_knows_makes_the_user_log_in(
    tmp_path: Path, claude_program: str
) -> None:
    async with place(tmp_path, claude_program) as here:
        here.endpoint.newest = "sk-ant-ort01-FAKE-rotated-by-another-machine"
        reply = await say_hi(here.daemon, PLACEHOLDER)
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "no_credential")
        assert "log in" in message_of(reply)
        assert here.stored["accessToken"] == "", "the client blanks what is of no use"
        assert here.upstream.received == []


async def test_a_client_with_its_own_login_is_not_touched_by_it(tmp_path: Path, claude_program: str) -> None:
    async with place(tmp_path, claude_program) as here:
        own = claude_headers({"Authorization": "Bearer sk-ant-oat01-FAKE-of-the-client"})
        here.upstream.answer = fails(401, "authentication_error", "OAuth token has expired")
        assert (await say_hi(here.daemon, own)).status == 401
        assert here.runs == []
        assert here.endpoint.asked == []
