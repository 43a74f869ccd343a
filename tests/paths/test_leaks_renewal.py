"""While a login is renewed: the refresh tokens are the client's affair, and nobody else's who is run for it."""

import asyncio
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.asking import ask
from tests.claude_code import fresh_home
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.fake_security import DENIED, LOCKED, FakeSecurity
from tests.in_process import in_process
from tests.paths.canaries import (
    RENEWED_ACCESS_TOKEN,
    RENEWED_REFRESH_TOKEN,
    STORED_ACCESS_TOKEN,
    STORED_REFRESH_TOKEN,
    found_in,
    on_the_wire,
)
from tests.paths.leaks import (
    BROUGHT,
    QUERY,
    SECRET_VARIABLES,
    Places,
    all_hosts,
    assert_programs_know_nothing,
    claude_proxy,
    configuration,
)
from tests.paths.macos import on_a_mac
from tests.process_watch import ProcessWatch, Program
from tests.running import running
from tests.scripted_claude import ScriptedClaude
from tests.stand_in import fails
from tests.token_endpoint import token_endpoint

PLACEHOLDER = claude_headers({"x-api-key": SENTINEL, **BROUGHT})
OF_CLIENT = {"the client's cookie", "the client's key for a gateway", "the client's tenant"}


async def test_the_real_client_redeems_the_refresh_token_and_nobody_else_sees_one(
    tmp_path: Path, claude_program: str
) -> None:
    home = tmp_path / "home"
    fresh_home(home)
    places = Places(home)
    places.store(expiresAt=int((time.time() - 60) * 1000))
    script = tmp_path / "bin" / "claude"
    script.parent.mkdir()
    with ProcessWatch(tmp_path / "seen") as watch:
        script.write_text(f'#!/bin/sh\n{watch.until_seen}\nexec {shlex.quote(claude_program)} "$@"\n')
        script.chmod(0o700)
        async with token_endpoint(tmp_path, STORED_REFRESH_TOKEN) as endpoint, all_hosts() as hosts:
            env = {**SECRET_VARIABLES, **endpoint.environment, "PATH": f"{script.parent}:{os.environ['PATH']}"}
            env["CLAUDE_PROXY_CREDENTIALS__CLAUDE__REFRESH"] = "delegate"
            config = configuration(hosts, home)
            async with running(home, config, env, "--log-level", "debug") as daemon:
                url = f"{daemon.url}/v1/messages{QUERY}"
                replies = await asyncio.gather(*(ask(url, claude_body(), PLACEHOLDER) for _ in range(20)))
                pages = [await ask(daemon.url + page, method="GET") for page in ("/health", "/metrics")]
                port = {"CLAUDE_PROXY_LISTEN__PORT": str(daemon.port)}
                _, said = await claude_proxy(
                    home, {**env, **port}, "status", "--json", "--config", str(home / "config.yaml")
                )
                log = daemon.log
            redeemed, others = endpoint.asked, endpoint.everything
    assert {reply.status for reply in replies} == {200}
    assert {bearer_of(got) for got in hosts["claude"].received} == {RENEWED_ACCESS_TOKEN}
    assert on_the_wire(redeemed) == {"the stored refresh token"}
    assert len(redeemed) == 1
    # The client may ask its own API for profile and usage; a refresh token goes there as little as anything of ours.
    assert found_in(others) <= {"the stored access token", "the renewed access token"}
    sent = {*OF_CLIENT, "the client's key in the query", "the renewed access token"}
    assert {name: on_the_wire(host.received) for name, host in hosts.items() if host.received} == {"claude": sent}
    assert '"outcome": "renewed"' in said
    assert found_in(f"{log} {said} {[(page.headers, page.body) for page in pages]}") == set()
    assert found_in(f"{[(reply.headers, reply.body) for reply in replies]}") == set()
    assert client_of(watch), "the real client was looked at while it ran"
    assert_programs_know_nothing(watch.programs)
    places.assert_nothing_else_holds_a_secret(
        {**places.keys, places.login: {"the renewed access token", "the renewed refresh token"}}
    )


def client_of(watch: ProcessWatch) -> list[Program]:
    """The programs that the script has become."""
    scripts = {program.pid for program in watch.of("/bin/sh") if program.arguments[1].endswith("/bin/claude")}
    return [program for program in watch.programs if program.pid in scripts and "/bin/sh" not in program.arguments]


# --- macOS -----------------------------------------------------------------------------------------------


async def test_security_and_claude_are_lent_no_secret_and_nothing_of_the_keychain_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its item holds refresh tokens; a locked, a denied and an open keychain, a refused login and a renewal."""
    for name, secret in SECRET_VARIABLES.items():
        monkeypatch.setenv(name, secret)  # the daemon is this process
    home = tmp_path / "home"
    home.mkdir()
    security, claude = FakeSecurity(tmp_path / "keychain"), ScriptedClaude(tmp_path / "bin")
    renewed = tmp_path / "renewed"
    texts: list[str] = []
    with ProcessWatch(tmp_path / "seen") as watch:
        security.waits_for(watch.seen)
        security.put(stored_login(RENEWED_ACCESS_TOKEN, RENEWED_REFRESH_TOKEN))
        renewed.write_text((tmp_path / "keychain" / "state").read_text())
        claude.does(f"{watch.until_seen}\ncp {renewed} {tmp_path}/keychain/state")
        env = {**SECRET_VARIABLES, "USER": "tester", "PATH": claude.path}
        async with all_hosts() as hosts, in_process(home, configuration(hosts, home), env) as daemon:

            async def say_hi() -> int:
                on_a_mac(daemon.house, security, env, 20)
                reply = await ask(f"{daemon.url}/v1/messages{QUERY}", claude_body(), PLACEHOLDER)
                health = await ask(f"{daemon.url}/health", method="GET")
                texts.append(f"{reply.headers} {reply.body.decode()} {health.body.decode()}")
                return reply.status

            steps: list[tuple[Callable[[], None], int]] = [
                (lambda: security.answers_with(LOCKED), 403),
                (lambda: security.answers_with(DENIED), 403),
                (lambda: security.put("no JSON: " + stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN)), 403),
                (lambda: security.put(stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN)), 200),
                (lambda: security.put(stored_login(STORED_ACCESS_TOKEN, STORED_REFRESH_TOKEN, expiresAt=10**12)), 200),
            ]
            for step, status in steps:
                step()
                assert await say_hi() == status, texts[-1]
            hosts["claude"].answer = fails(401, "authentication_error", "revoked")
            assert await say_hi() == 403
            texts.append(str(daemon.records))
    assert {bearer_of(got) for got in hosts["claude"].received} == {STORED_ACCESS_TOKEN, RENEWED_ACCESS_TOKEN}
    assert not any("refresh token" in name for name in on_the_wire(hosts["claude"].received))
    assert found_in(" ".join(texts)) == set()
    assert watch.of(str(security.program))
    assert watch.of(str(claude.program))
    assert_programs_know_nothing(watch.programs)
    assert found_in(f"{security.asked} {security.environments} {claude.arguments} {claude.environment}") == set()
    Places(home).assert_nothing_else_holds_a_secret({})
