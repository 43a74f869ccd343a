"""Credentials that are missing, expired, refused or locked away: named first, and well again by what is named."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.asking import ask
from tests.claude_request import SENTINEL, claude_body, claude_headers, stored_login
from tests.doctor.patient import ROUTES, Clock, Patient, assert_well, broken, finding, first, mended, upstreams
from tests.paths.logins import write_login_file
from tests.recording_keyring import ACCOUNT, CLAUDE_SERVICE
from tests.running import Daemon, running
from tests.scripted_claude import ScriptedClaude, expired_login
from tests.secret_service import secret_service
from tests.stand_in import Received, StandIn, Wire, fails, says

NO_MINIMAX = {"minimax": {"sources": ["env:FAKE_MINIMAX_KEY"]}}
PROGRAM = "claude-of-the-test"


@contextlib.asynccontextmanager
async def attended(
    home: Path, upstream: StandIn, credentials: dict[str, Any], env: dict[str, str] | None = None
) -> AsyncIterator[tuple[Daemon, Patient]]:
    """A daemon with these credentials, and a patient with its configuration, who has routing on."""
    asked = {**upstreams(upstream.url), "minimax": {"base_url": upstream.url}}
    config = {"upstreams": asked, "credentials": {**NO_MINIMAX, **credentials}, "routes": ROUTES}
    async with running(home, config, env) as daemon:
        patient = Patient(home, {**config, "listen": {"port": daemon.port}}, dict(env or {}))
        await patient.run("enable")
        yield daemon, patient


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keyring: None) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(home)
    return home


async def test_a_login_that_is_missing_and_then_expired(home: Path) -> None:
    claude = ScriptedClaude(home / "programs")
    claude.renews(home / ".claude/.credentials.json", after=f"chmod 600 {home}/.claude/.credentials.json")
    (home / ".claude").mkdir()
    stored = {"sources": ["file"], "refresh_command": [PROGRAM]}
    async with StandIn(Clock().tells()) as upstream, attended(home, upstream, {"claude": stored}) as (daemon, patient):
        patient.env["PATH"] = claude.path
        found = await broken(patient, "credentials.usable", of="claude")
        assert found["says"] == "there is none in file"
        assert found["command"].endswith("claude-proxy login")
        assert (await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers())).status == 403
        await patient.mend(found["command"])
        assert len(claude.runs) == 1
        found = await broken(patient, "credentials.usable", "warn", of="claude")
        assert found["says"] == "there is one in file by now, and the daemon has none yet"
        assert found["command"] == f"kill -HUP {daemon.process.pid}"
        await patient.mend(found["command"])
        await daemon.logged("event=reloaded")
        assert_well(await patient.ask())

        write_login_file(home / ".claude", expired_login())
        found = await broken(patient, "credentials.usable", of="claude")  # clean_environment says `refresh: never`
        assert found["command"] == "claude"
        patient.env["CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH"] = "delegate"
        found = await broken(patient, "credentials.usable", of="claude")
        assert (
            f"/.credentials.json has expired or is about to, and {PROGRAM}, which alone renews it, is not on PATH"
            in (found["says"])
        )
        assert "install Claude Code (https://code.claude.com/docs/en/setup)" in found["advice"]
        claude.program.with_name(PROGRAM).write_text("#!/bin/sh\n")
        claude.program.with_name(PROGRAM).chmod(0o700)
        report = await patient.ask()
        assert_well(report)
        assert (
            f"the daemon has {claude.directory / PROGRAM} renew it"
            in finding(report, "credentials.usable", "claude")["says"]
        )

        patient.env["CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH"] = "never"
        await mended(patient, await broken(patient, "credentials.usable", of="claude"))
    assert upstream.received == [] or {received.method for received in upstream.received} == {"HEAD"}


async def test_a_copied_login_that_has_expired(home: Path) -> None:
    copy = home / "copied" / "claude-credentials.json"
    stored = {"sources": [f"file:{copy}"]}
    async with StandIn(Clock().tells()) as upstream, attended(home, upstream, {"claude": stored}) as (_, patient):
        patient.write(copy, expired_login())
        found = await broken(patient, "credentials.usable", of="claude")
        assert "scripts/sync-credentials" in found["advice"]
        copy.write_text(stored_login("sk-ant-oat01-FAKE-copied"))
        assert_well(await patient.ask())


async def test_a_keychain_that_cannot_be_read(home: Path) -> None:
    async with secret_service(someone_is_there=True) as keyring, StandIn(Clock().tells()) as upstream:
        await keyring.store(CLAUDE_SERVICE, ACCOUNT, stored_login("sk-ant-oat01-FAKE-stored"))
        stored = {"sources": ["keychain"], "read_timeout": "500ms"}
        async with attended(home, upstream, {"claude": stored}, dict(keyring.environment)) as (_, patient):
            await keyring.lock()
            found = first(await patient.ask_as_process())
            assert (found["check"], found["mark"], found["of"]) == ("credentials.usable", "fail", "claude")
            assert "the keychain item 'Claude Code-credentials'" in found["says"]
            assert "it may be locked or waiting for an answer: unlock it" in found["says"]
            await keyring.unlock()
            assert_well(await patient.ask_as_process())


async def test_a_key_that_is_missing_where_nothing_else_answers_and_one_that_is_refused(home: Path) -> None:
    def accepts(key: str) -> Clock:
        async def answer(received: Received, wire: Wire) -> None:
            right = f"Bearer {key}" in (received.header("authorization") or "")
            await (says() if right else fails(401, "authentication_error", "invalid key"))(received, wire)

        upstream.answer = Clock().tells(answer)
        return Clock()

    async with StandIn() as upstream:
        accepts("FAKE-key-one")
        credentials = {"claude": {"sources": ["client"]}, "minimax": {"sources": ["keyring:minimax"]}}
        async with attended(home, upstream, credentials) as (daemon, patient):
            patient.configure(routes=[{"to": [{"upstream": "minimax"}]}])
            found = await broken(patient, "credentials.usable", of="minimax")
            assert found["says"] == "there is none in keyring:minimax"
            assert found["command"].endswith("claude-proxy key set minimax")
            await patient.mend(found["command"], "FAKE-key-one")
            assert_well(await patient.ask())

            accepts("FAKE-key-two")
            body = claude_body(model="claude-haiku-4-5")
            await ask(f"{daemon.url}/v1/messages", body, claude_headers({"x-api-key": SENTINEL}))
            found = await broken(patient, "credentials.usable", of="minimax")
            assert found["says"].startswith("it was refused: ")
            assert found["command"].endswith(f"claude-proxy key set minimax && kill -HUP {daemon.process.pid}")
            await patient.mend(found["command"], "FAKE-key-two")
            await daemon.logged("event=reloaded")
            assert_well(await patient.ask())
    assert "FAKE-key" not in json.dumps(found)


async def test_a_key_that_this_shell_has_and_the_daemon_has_not(home: Path) -> None:
    credentials = {"claude": {"sources": ["client"]}}
    async with StandIn(Clock().tells()) as upstream, attended(home, upstream, credentials) as (_, patient):
        patient.env["FAKE_MINIMAX_KEY"] = "FAKE-key"
        found = await broken(patient, "credentials.usable", "warn", of="minimax")
        assert "this shell has one in env:FAKE_MINIMAX_KEY" in found["says"]
        del patient.env["FAKE_MINIMAX_KEY"]
        assert_well(await patient.ask())
