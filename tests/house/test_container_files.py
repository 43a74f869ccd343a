"""The files of the container: names, loopback alone, logins mounted read-write, and no secret in any of them."""

import re
from pathlib import Path
from typing import Any

import pytest

from claude_proxy.config.load import load
from claude_proxy.config.settings import Settings
from claude_proxy.web.guard import Guard
from tests.compose import COMPOSE_FILE, Missing, composed, environment_of
from tests.dockerfile import instructions
from tests.house.source import REPOSITORY
from tests.web.test_guard_addresses import arriving

DOCKERFILE = REPOSITORY / "Dockerfile"
TOKEN = "FAKE-access-token"
VARIABLES = {"AUTH_TOKEN": TOKEN, "HOME": "/home/someone"}
SECRETS = {
    "ANTHROPIC_API_KEY",
    "AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "HAIKU_PROVIDER_API_KEY",
    "MINIMAX_API_KEY",
    "POSTGRES_PASSWORD",
    "REAL_ANTHROPIC_API_KEY",
}


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    found = composed(VARIABLES)["services"]
    assert isinstance(found, dict)
    return found


def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **variables: str) -> Settings:
    """The daemon's settings from ENV of the image and `environment` of the compose file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    image = {
        name: value
        for word, rest in instructions(DOCKERFILE.read_text())
        if word == "ENV"
        for name, value in (part.split("=", 1) for part in rest.split())
    }
    return load(None, image | environment_of("cc-proxy", VARIABLES | variables))


def test_the_names_are_those_that_never_change(services: dict[str, dict[str, Any]]) -> None:
    assert {name: found["container_name"] for name, found in services.items()} == {
        "cc-proxy": "cc-proxy",
        "cc-db": "cc-db",
        "cc-adminer": "cc-adminer",
    }


def test_only_the_proxy_is_started_unless_the_ledger_is_asked_for(services: dict[str, dict[str, Any]]) -> None:
    assert {name: found.get("profiles") for name, found in services.items()} == {
        "cc-proxy": None,
        "cc-db": ["ledger"],
        "cc-adminer": ["ledger"],
    }
    assert set(services["cc-proxy"]["networks"]).isdisjoint(services["cc-db"]["networks"])


def test_every_port_is_published_on_loopback_alone(services: dict[str, dict[str, Any]]) -> None:
    published = {name: found["ports"] for name, found in services.items()}
    assert published == {
        "cc-proxy": ["127.0.0.1:8082:8082"],
        "cc-db": ["127.0.0.1:5432:5432"],
        "cc-adminer": ["127.0.0.1:8080:8080"],
    }
    assert all("network_mode" not in found for found in services.values())


def test_claude_s_directory_is_mounted_read_write_where_the_daemon_looks(services: dict[str, dict[str, Any]]) -> None:
    mount, keys = services["cc-proxy"]["volumes"]
    assert mount == {
        "type": "bind",
        "source": "/home/someone/.claude",
        "target": "/home/proxy/.claude",
        "read_only": False,
        "bind": {"create_host_path": False},
    }
    assert keys == {"type": "volume", "source": "cc-keys", "target": "/home/proxy/.local/share/claude-proxy"}
    elsewhere = composed(VARIABLES | {"CC_CLAUDE_DIRECTORY": "/x"})["services"]["cc-proxy"]["volumes"][0]
    assert elsewhere["source"] == "/x"


def test_without_an_access_token_nothing_starts_and_it_is_said_why() -> None:
    with pytest.raises(Missing, match=r"docs/container\.md"):
        composed({"HOME": "/home/someone"})


def test_no_secret_stands_in_a_file() -> None:
    for name in SECRETS:
        given = re.findall(rf"^\s*{name}:(.*)$", COMPOSE_FILE.read_text(), re.MULTILINE)
        assert all(not text.strip() or text.strip().startswith("${") for text in given), name
        assert all(not text.partition(":-")[2].strip("} \n") for text in given), f"{name} has a default"
        assert name not in {part.split("=")[0] for part in re.findall(r"\S+=\S*", DOCKERFILE.read_text())}
    for path in (COMPOSE_FILE, DOCKERFILE):
        assert not re.search(r"sk-ant-|eyJ|password=", path.read_text(), re.IGNORECASE)


def test_the_build_sees_nothing_but_what_it_copies() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    seen = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for word, rest in instructions(DOCKERFILE.read_text())
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert seen == copied
    assert rules[-1] == "**/__pycache__"


def test_the_image_is_slim_pinned_and_not_root_s_and_signals_reach_the_daemon() -> None:
    found = instructions(DOCKERFILE.read_text())
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases), bases
    assert [rest for word, rest in found if word == "USER"] == ["$OWNER:$OWNER"]
    assert [rest for word, rest in found if word == "ARG"] == ["OWNER=1000"]
    # A list, so that no shell stands between the engine and the daemon.
    assert [rest for word, rest in found if word == "CMD"] == ['["claude-proxy", "serve"]']
    assert [rest for word, rest in found if word == "STOPSIGNAL"] == ["SIGTERM"]
    assert not [rest for word, rest in found if word == "ENTRYPOINT"]


def test_the_engine_waits_longer_than_a_drain_may_take(services: dict[str, dict[str, Any]]) -> None:
    minutes = re.fullmatch(r"(\d+)m", services["cc-proxy"]["stop_grace_period"])
    assert minutes
    assert int(minutes[1]) * 60 > load(None, {}).drain_timeout


def test_the_port_outside_is_the_one_inside_so_that_the_host_header_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert composed(VARIABLES | {"CC_PORT": "9000"})["services"]["cc-proxy"]["ports"] == ["127.0.0.1:9000:9000"]
    settings = configured(monkeypatch, tmp_path, CC_PORT="9000")
    assert (settings.listen.host, settings.listen.port) == ("0.0.0.0", 9000)
    Guard(settings.access, settings.listen.port).admit(
        arriving([("Host", "127.0.0.1:9000"), ("x-claude-proxy-token", TOKEN)]), "/v1/messages"
    )


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("172.30.82.1", True),  # the host: the gateway of the network
        ("172.30.82.2", False),  # another container
        ("172.17.0.1", False),
        ("192.168.1.20", False),
        ("127.0.0.1", True),
    ],
)
def test_the_host_counts_as_this_machine_and_other_containers_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, peer: str, local: bool
) -> None:
    access = configured(monkeypatch, tmp_path).access
    assert access.token == TOKEN
    assert not access.localhost_bypass
    assert Guard(access, 8082).is_local(arriving(peer=(peer, 50000))) is local
    network = composed(VARIABLES)["networks"]["cc-proxy"]["ipam"]["config"]
    assert [f"{found['gateway']}/32" for found in network] == list(access.trusted_networks)
