"""What the journeys with a login share: made-up tokens, the places where one lies, a client that says hi."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.asking import Reply, ask
from tests.claude_request import claude_body
from tests.running import Daemon
from tests.stand_in import Answer, Received, StandIn, Wire, fails, says

CONFIGURED_KEY = "sk-ant-api03-FAKE-configured"
CLIENT_TOKEN = "sk-ant-oat01-FAKE-client"
CLIENT_KEY = "sk-ant-api03-FAKE-client"
STORED_TOKEN = "sk-ant-oat01-FAKE-stored"
RENEWED_TOKEN = "sk-ant-oat01-FAKE-renewed"

BEARER = {"Authorization": f"Bearer {CLIENT_TOKEN}"}
KEY = {"x-api-key": CLIENT_KEY}


def to(upstream: StandIn, **credential: Any) -> dict[str, Any]:
    """A configuration with this upstream as Claude's, and settings of Claude's credential."""
    config: dict[str, Any] = {"upstreams": {"claude": {"base_url": upstream.url}}}
    return {**config, "credentials": {"claude": credential}} if credential else config


async def say_hi(daemon: Daemon, headers: Mapping[str, str], path: str = "/v1/messages?beta=true") -> Reply:
    return await ask(daemon.url + path, claude_body(), headers)


def message_of(reply: Reply) -> str:
    """The message of an error in Anthropic's shape."""
    body = reply.json()
    assert body["type"] == "error", body
    assert body["request_id"], body
    return str(body["error"]["message"])


def credentials_of(received: Received) -> list[tuple[str, str]]:
    """Every credential that a request carried."""
    return [(k.lower(), v) for k, v in received.headers if k.lower() in ("authorization", "x-api-key")]


def only_accepts(token: str, text: str = "hello") -> Answer:
    """An upstream that refuses every other credential with 401."""

    async def answer(received: Received, wire: Wire) -> None:
        if credentials_of(received) == [("authorization", f"Bearer {token}")]:
            await says(text)(received, wire)
        else:
            await fails(401, "authentication_error", "OAuth token has expired")(received, wire)

    return answer


def login_file(directory: Path) -> Path:
    """Where a login lies below `~/.claude` or `$CLAUDE_CONFIG_DIR`."""
    return directory / ".credentials.json"


def write_login_file(directory: Path, text: str) -> Path:
    path = login_file(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


async def store_reads(daemon: Daemon) -> float:
    """How often the daemon says that it has looked into a store."""
    page = (await ask(daemon.url + "/metrics", method="GET")).body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "claude_proxy_credential_reads_total" and sample.labels["source"] in ("keychain", "file")
    )
