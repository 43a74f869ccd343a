"""The container without an engine: what the Dockerfile runs is run, what it starts is started, asked and stopped.

Each path of the image lies below a directory of the test's own; commands, environment and user are the Dockerfile's.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.asking import Reply, ask
from tests.claude_request import SENTINEL, bearer_of, claude_body, claude_headers, stored_login
from tests.compose import environment_of
from tests.dockerfile import Image
from tests.house.source import REPOSITORY
from tests.paths.logins import BEARER, CLIENT_TOKEN, STORED_TOKEN, message_of
from tests.running import Daemon
from tests.stand_in import StandIn

TOKEN = "FAKE-access-token"
TOKEN_SENT = {"x-claude-proxy-token": TOKEN}
PLACEHOLDER = {"x-api-key": SENTINEL}

pytestmark = pytest.mark.timeout(240)  # the first build may have to download what it installs


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once. Root runs the daemon as the image's user where it can, who could not pass pytest's directories."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        root.chmod(0o755)
        built = Image(root, owner=1000 if may_be_another() else os.getuid())
        built.build((REPOSITORY / "Dockerfile").read_text())
        yield built


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def may_be_another() -> bool:
    """Whether this test may change its user, and the other one could run the same Python."""
    above = Path(sys.executable).resolve().parents
    return os.getuid() == 0 and all(directory.stat().st_mode & 0o001 for directory in above)


def healthy(image: Image, environment: Mapping[str, str]) -> bool:
    done = subprocess.run(
        image.health_command,
        env={**image.environment, **environment},
        cwd=image.directory,
        timeout=20,
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


@contextlib.asynccontextmanager
async def started(image: Image, environment: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """CMD with ENV, and what the compose file or the command line adds to it; killed where it does not end."""
    owner = int(image.user.partition(":")[0])
    another = owner != os.getuid()
    process = await asyncio.create_subprocess_exec(
        *image.command,
        env={**image.environment, **environment},
        cwd=image.directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        user=owner if another else None,
        group=owner if another else None,
        extra_groups=[] if another else None,
    )
    daemon = Daemon(process, image.directory)
    try:
        yield daemon
    finally:
        try:
            await daemon.stop()
        except TimeoutError:
            process.kill()
            await daemon.ended()


def test_every_command_of_the_build_is_run_and_leaves_a_program_of_its_own(image: Image) -> None:
    assert len(image.ran) == 2
    program = Path(str(shutil.which(image.command[0], path=image.environment["PATH"])))
    assert image.root in program.parents
    where = [str(program.with_name("python")), "-c", "import claude_proxy, zstandard; print(claude_proxy.__file__)"]
    found = subprocess.run(where, env=image.environment, cwd="/", capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(image.root / "opt")
    assert not (image.root / "src").exists()


def test_the_user_owns_home_and_keys_and_nothing_of_the_program(image: Image) -> None:
    assert image.user == f"{image.owner}:{image.owner}"
    keys = Path(image.environment["HOME"]) / ".local/share/claude-proxy"
    assert keys.stat().st_uid == image.owner
    assert keys.stat().st_mode & 0o777 == 0o700
    assert (image.root / "opt/claude-proxy").stat().st_uid == os.getuid()


async def test_it_serves_is_healthy_and_ends_on_sigterm_with_0(image: Image) -> None:
    # The port alone is another: this machine may use the one of the image.
    own = {"AUTH_TOKEN": TOKEN, "CLAUDE_PROXY_LISTEN__PORT": str(free_port())}
    assert not await asyncio.to_thread(healthy, image, own)
    async with started(image, own) as daemon:
        await daemon.logged(r"event=listening .*url=http://0\.0\.0\.0:")
        assert await asyncio.to_thread(healthy, image, own)
        daemon.process.terminate()
        assert await daemon.ended() == 0
    assert not await asyncio.to_thread(healthy, image, own)


async def test_without_an_access_token_it_does_not_start_and_names_it(image: Image) -> None:
    async with started(image, {"CLAUDE_PROXY_LISTEN__PORT": str(free_port())}) as daemon:
        assert await daemon.ended() == 78
    assert "set AUTH_TOKEN" in daemon.log


@contextlib.asynccontextmanager
async def composed_daemon(image: Image) -> AsyncIterator[tuple[str, StandIn]]:
    """As the compose file starts it, with a login in the mounted directory, before a stand-in."""
    port = free_port()
    told = environment_of("cc-proxy", {"AUTH_TOKEN": TOKEN, "CC_PORT": str(port), "HOME": "/home/someone"})
    told = {name: image.inside(value) for name, value in told.items()}
    async with StandIn() as upstream:
        told["CLAUDE_PROXY_UPSTREAMS__CLAUDE__BASE_URL"] = upstream.url
        async with started(image, told) as daemon:
            await daemon.logged("event=listening")
            yield f"http://127.0.0.1:{port}", upstream


async def hi(url: str, headers: Mapping[str, str]) -> Reply:
    return await ask(f"{url}/v1/messages?beta=true", claude_body(), headers)


async def test_claude_code_s_own_login_passes_beside_the_access_token_which_goes_no_further(image: Image) -> None:
    async with composed_daemon(image) as (url, upstream):
        refused = await hi(url, claude_headers(BEARER))
        assert refused.status == 403
        assert refused.headers["x-claude-proxy-error"] == "access_token"
        assert not upstream.received
        assert (await hi(url, claude_headers(BEARER) | TOKEN_SENT)).status == 200
    (received,) = upstream.received
    assert bearer_of(received) == CLIENT_TOKEN
    assert TOKEN not in str(received.headers)


@pytest.mark.parametrize("name", [".credentials.json", "claude-credentials.json"])
async def test_a_mounted_login_serves_claude_code_and_nobody_else(image: Image, name: str) -> None:
    mounted = Path(image.inside("/home/proxy/.claude"))
    mounted.mkdir(mode=0o700)
    login = mounted / name
    login.write_text(stored_login(STORED_TOKEN))
    login.chmod(0o600)
    for path in (mounted, login):
        os.chown(path, image.owner, -1)
    try:
        async with composed_daemon(image) as (url, upstream):
            answered = await hi(url, claude_headers(PLACEHOLDER) | TOKEN_SENT)
            assert answered.status == 200
            assert bearer_of(upstream.received.pop()) == STORED_TOKEN
            stranger = await hi(url, claude_headers(PLACEHOLDER, user_agent="curl/8") | TOKEN_SENT)
            assert stranger.status == 403
            assert "does not come from Claude Code" in message_of(stranger)
            assert not upstream.received
    finally:
        shutil.rmtree(mounted)
