"""Made-up secrets that can be told apart wherever they turn up, and upstreams that repeat them."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.running import clean_environment
from tests.stand_in import Answer, Received, Wire, error_body, message_start, sse

# Some look like what they are and some do not: a secret must be known by its value, not by its shape.
CLIENT_BEARER = "FAKE.canary.client.bearer.0a1b2c3d"
CLIENT_KEY = "sk-ant-api03-FAKE-canary-client-key"
COOKIE = "canary-cookie-9f8e7d6c"
GATEWAY_KEY = "canary-of-a-gateway-5e4d3c2b"
TENANT = "canary-of-a-tenant-6d5c4b3a"  # in a header whose name tells nothing
QUERY_KEY = "canary-in-the-query-1f2e3d4c"
ACCESS_TOKEN = "canary-access-token-4c3b2a19"
CONFIGURED_KEY = "sk-ant-api03-FAKE-canary-configured"
STORED_ACCESS_TOKEN = "sk-ant-oat01-FAKE-canary-stored-access"
STORED_REFRESH_TOKEN = "sk-ant-ort01-FAKE-canary-stored-refresh"
RENEWED_ACCESS_TOKEN = "sk-ant-oat01-FAKE-renewed-1"  # as tests/token_endpoint.py issues them
RENEWED_REFRESH_TOKEN = "sk-ant-ort01-FAKE-renewed-1"
SETUP_TOKEN = "sk-ant-oat01-FAKE-canary-setup"
HAIKU_KEY = "eyJhbGciOiJSUzI1NiJ9.FAKE-canary-haiku-key"
FILE_KEY = "canary.key.in.a.file.7a8b9c0d"
KEYRING_KEY = "eyJhbGciOiJSUzI1NiJ9.FAKE-canary-keyring-key"

CANARIES = {
    "the client's bearer": CLIENT_BEARER,
    "the client's key": CLIENT_KEY,
    "the client's cookie": COOKIE,
    "the client's key for a gateway": GATEWAY_KEY,
    "the client's tenant": TENANT,
    "the client's key in the query": QUERY_KEY,
    "the proxy's access token": ACCESS_TOKEN,
    "the configured key": CONFIGURED_KEY,
    "the stored access token": STORED_ACCESS_TOKEN,
    "the stored refresh token": STORED_REFRESH_TOKEN,
    "the renewed access token": RENEWED_ACCESS_TOKEN,
    "the renewed refresh token": RENEWED_REFRESH_TOKEN,
    "the setup-token": SETUP_TOKEN,
    "MiniMax's key in the environment": HAIKU_KEY,
    "MiniMax's key in the keyring": KEYRING_KEY,
    "the key in a file": FILE_KEY,
}


STAND_INS_REQUEST_ID = "req_standin"  # as tests/stand_in.py writes it into its error bodies


def found_in(text: str) -> set[str]:
    """The names of the secrets that a text contains."""
    return {name for name, secret in CANARIES.items() if secret in text}


def on_the_wire(received: Iterable[Received]) -> set[str]:
    """The names of the secrets in whole requests: target, headers, bodies."""
    return {
        name
        for request in received
        for name in found_in(f"{request.target} {request.headers} {request.body.decode(errors='replace')}")
    }


def files_with_secrets(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if path.is_file() and found_in(path.read_text("latin-1"))}


def repeated(received: Received) -> str:
    """A provider's careless message: all that it was called with, whole and by its last words."""
    last_words = [value.replace("=", " ").split(" ")[-1] for _, value in received.headers]
    return f"invalid api key at {received.target}: {received.headers} {last_words}"


def repeats(status: int, kind: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error whose message repeats the request's headers."""

    async def answer(received: Received, wire: Wire) -> None:
        await wire.reply(
            status,
            error_body(kind, repeated(received)),
            [("Content-Type", "application/json"), *(headers or {}).items()],
        )

    return answer


def repeats_in_base_resp(code: int) -> Answer:
    """MiniMax's way: a 200 with the failure inside."""

    async def answer(received: Received, wire: Wire) -> None:
        body = {"base_resp": {"status_code": code, "status_msg": repeated(received)}}
        await wire.reply(200, json.dumps(body).encode(), [("Content-Type", "application/json")])

    return answer


def repeats_in_the_stream(*before: bytes) -> Answer:
    """A stream that breaks off with an error event, after these events."""

    async def answer(received: Received, wire: Wire) -> None:
        await wire.start_stream()
        for event in before:
            await wire.chunk(event)
        error = {"type": "api_error", "message": repeated(received)}
        body = {"type": "error", "error": error, "request_id": STAND_INS_REQUEST_ID}
        await wire.chunk(sse("error", body))
        await wire.end()

    return answer


async def repeats_in_a_broken_head(received: Received, wire: Wire) -> None:
    """No HTTP: parsers like to quote the line at which they gave up."""
    line = "; ".join(f"{k}: {v}" for k, v in received.headers)
    await wire.send(f"HTTP/1.1 200 OK\r\n{line}\x00 no colon\r\n\r\n".encode("latin-1"))
    wire.close()


async def repeats_in_html(received: Received, wire: Wire) -> None:
    """A page where an answer should be."""
    page = f"<html><body>{repeated(received)}</body></html>".encode()
    await wire.reply(200, page, [("Content-Type", "text/html")])


REPEATING: Mapping[str, Answer] = {
    "400": repeats(400, "invalid_request_error"),
    "401": repeats(401, "authentication_error"),
    "403": repeats(403, "permission_error"),
    "404": repeats(404, "not_found_error"),
    "429": repeats(429, "rate_limit_error", {"retry-after": "120"}),
    "500": repeats(500, "api_error"),
    "529": repeats(529, "overloaded_error"),
    "base_resp": repeats_in_base_resp(1004),
    "first event": repeats_in_the_stream(),
    "later event": repeats_in_the_stream(message_start()),
    "broken head": repeats_in_a_broken_head,
    "HTML": repeats_in_html,
}


def command_lines(pid: int) -> str:
    """The arguments of a process and of all its descendants."""
    lines = Path(f"/proc/{pid}/cmdline").read_text()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        lines += "".join(command_lines(int(child)) for child in children.read_text().split())
    return lines


async def command(home: Path, env: Mapping[str, str], *arguments: str) -> str:
    """What a `claude-proxy` command prints, with the configuration and the environment of the daemon."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "claude_proxy", *arguments, "--config", str(home / "config.yaml")),
        env=clean_environment(home, env),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    return output.decode()
