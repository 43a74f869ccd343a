"""Where the daemon listens by the configuration, however broken that is, and which URLs lead there."""

from pathlib import Path

import pytest
import yaml

from claude_proxy.config.address import DEFAULT_HOST, DEFAULT_PORT
from claude_proxy.config.load import default_text
from claude_proxy.toggle import address
from claude_proxy.toggle.address import configured, given, same, shown
from claude_proxy.toggle.refusals import AddressUnknown

DEFAULT = "http://127.0.0.1:8082"


def test_the_default_is_the_manual_s() -> None:
    listen = yaml.safe_load(default_text())["listen"]
    assert (listen["host"], listen["port"]) == (DEFAULT_HOST, DEFAULT_PORT)


@pytest.mark.parametrize(
    ("text", "environment", "url"),
    [
        (None, {}, DEFAULT),
        ("", {}, DEFAULT),
        ("log: { level: debug }\n", {}, DEFAULT),
        ("listen: { port: 9001 }\n", {}, "http://127.0.0.1:9001"),
        ("listen: { host: localhost }\n", {}, "http://localhost:8082"),
        ("listen: { host: 0.0.0.0 }\n", {}, DEFAULT),
        ('listen: { host: "::" }\n', {}, "http://[::1]:8082"),
        ('listen: { host: "::1", port: 1 }\n', {}, "http://[::1]:1"),
        ('listen: { host: "[::1]", port: 1 }\n', {}, "http://[::1]:1"),
        ("listen: { port: 9001 }\n", {"PORT": "9002"}, "http://127.0.0.1:9002"),
        (None, {"SERVER_HOST": "127.0.0.2"}, "http://127.0.0.2:8082"),
        (None, {"PORT": "9002", "CLAUDE_PROXY_LISTEN__PORT": "9003"}, "http://127.0.0.1:9003"),
        # A fault elsewhere is no fault of the address.
        ("listen: { port: 9001 }\nrouts: [\n", {}, DEFAULT),
        ("listen: { port: 9001 }\nunknown: 5\n", {"CLAUDE_PROXY_X": "{"}, "http://127.0.0.1:9001"),
    ],
)
def test_where_the_daemon_listens(text: str | None, environment: dict[str, str], url: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text)
    assert configured(file, environment).url == url


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("listen: { port: many }\n", "config.yaml:1:17 listen.port: expected a whole number"),
        ("listen: [\n", "this is not valid YAML"),
        ("- a\n", "expected a mapping of settings at the top"),
        ("listen: 5\n", "expected a mapping"),
        ("listen: { port: 0 }\n", "listen.port is 0, any free one"),
    ],
)
def test_a_configuration_that_cannot_tell_says_so_and_the_default_is_taken(
    text: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    found = configured(tmp_path / "config.yaml", {})
    assert found.url == DEFAULT
    assert complaint in found.complaint


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert "does not exist" in configured(tmp_path / "none.yaml", {}, required=True).complaint
    assert configured(tmp_path / "none.yaml", {}).complaint == ""
    assert "cannot be read: Is a directory" in configured(tmp_path, {}, required=True).complaint


@pytest.mark.parametrize("url", ["http://127.0.0.1:9001", "http://localhost:9001/", "http://[::1]:9001"])
def test_an_address_may_be_given(url: str) -> None:
    assert given(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9001",
        "https://127.0.0.1:9001",
        "http://example.com",
        "http://127.0.0.1:x",
        "http://127.0.0.1:1/v1",
        "",
    ],
)
def test_a_login_is_not_sent_to_another_machine_by_a_slip(url: str) -> None:
    with pytest.raises(AddressUnknown, match="is not an address of a daemon on this machine"):
        given(url)


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        (DEFAULT, True),
        (f"{DEFAULT}/", True),
        ("http://localhost:8082", True),
        ("http://[::1]:8082", True),
        ("http://127.0.0.1:8083", False),
        ("https://127.0.0.1:8082", False),
        ("http://127.0.0.1", False),
        (f"{DEFAULT}/v1", False),
        (f"{DEFAULT}?a=b", False),
        ("http://example.com:8082", False),
        ("http://127.0.0.1:x", False),
        ("", False),
    ],
)
def test_which_urls_lead_to_the_same_port(url: str, is_same: bool) -> None:
    assert same(url, DEFAULT) == same(DEFAULT, url) == is_same


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (DEFAULT, DEFAULT),
        ("https://me:secret@gw.example:1/x?key=secret#secret", "https://…@gw.example:1/x?…"),
        ("secret", "(not a URL)"),
        ("http://[secret", "(not a URL)"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_whose_a_url_is() -> None:
    assert address.is_here("http://127.9.9.9:1")
    assert not address.is_here("http://example.com")
    assert not address.is_here("x")
    assert address.is_anthropic("https://api.anthropic.com/")
    assert not address.is_anthropic("https://api.anthropic.com.example")
    assert address.netloc("http://me@127.0.0.1:8082/x") == "127.0.0.1:8082"
