"""What a configuration says of the way out: which proxy is between, with which login, and whom to trust."""

from pathlib import Path

import pytest
import trustme

from claude_proxy.upstreams.egress import Egress
from tests.config.loading import faults, loaded

# Each is laid over the built-in configuration, whose `claude` has a credential and goes by https.
PROXY = "http://proxy.example:3128"
LOCAL = "local: { base_url: 'http://[::1]:1', credential: null }"


def ways(home: Path, text: str, env: dict[str, str] | None = None) -> dict[str, Egress | None]:
    return {name: its.transport.egress for name, its in loaded(home, text, env).upstreams.items()}


def bundle(home: Path) -> Path:
    path = home / "ca.pem"
    path.write_bytes("# Beh\xf6rde é\n".encode() + trustme.CA().cert_pem.bytes())
    return path


def test_nothing_is_said_of_it_where_nothing_is_written_whatever_the_environment_has(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY}
    assert set(ways(tmp_path, "", env).values()) == {None}
    assert set(ways(tmp_path, f"transport: {{ proxy: direct }}\nupstreams: {{ {LOCAL} }}", env).values()) == {None}


def test_a_proxy_for_all_is_used_by_all_but_loopback_and_who_says_otherwise(tmp_path: Path) -> None:
    found = ways(
        tmp_path,
        f"transport: {{ proxy: {PROXY}/, proxy_auth: {{ env: LOGIN }} }}\n"
        f"upstreams: {{ {LOCAL}, minimax: {{ proxy: direct }}, kimi: {{ preset: kimi, proxy: 'https://own:1' }},"
        f" zai: {{ preset: zai, proxy: '{PROXY}' }} }}",
        {"LOGIN": "me:FAKE"},
    )
    assert found == {
        "claude": Egress(PROXY, "me:FAKE", "transport.proxy"),
        "minimax": None,
        "local": None,
        "kimi": Egress("https://own:1", "", "upstreams.kimi.proxy"),  # no other proxy gets that login
        "zai": Egress(PROXY, "me:FAKE", "upstreams.zai.proxy"),
    }
    assert "FAKE" not in repr(found)


def test_a_proxy_s_login_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "login").write_text("me:FAKE\n")
    text = f"upstreams: {{ claude: {{ proxy: {PROXY}, proxy_auth: {{ file: {tmp_path / 'login'} }} }} }}"
    assert ways(tmp_path, text)["claude"] == Egress(PROXY, "me:FAKE", "upstreams.claude.proxy")
    (tmp_path / "login").write_text("")
    assert [fault.partition(": ")[2] for fault in faults(tmp_path, text)] == ["is empty; expected user:password"]
    (tmp_path / "login").write_text("FAKE")
    [fault] = faults(tmp_path, text)
    assert fault.endswith("upstreams.claude.proxy_auth: expected user:password where this points to")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, Egress(PROXY, "", "variable HTTPS_PROXY")),
        (
            {"HTTPS_PROXY": "http://upper:1", "https_proxy": "lower:1"},
            Egress("http://lower:1", "", "variable https_proxy"),
        ),
        ({"HTTPS_PROXY": "http://a%3A:b%40@p:1/"}, Egress("http://p:1", "a::b@", "variable HTTPS_PROXY")),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "x.example, .Anthropic.com"}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "api.anthropic.com:443"}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "pi.anthropic.com,,"}, Egress(PROXY, "", "variable HTTPS_PROXY")),
    ],
)
def test_the_environment_is_read_as_others_read_it_where_that_is_said(
    tmp_path: Path, env: dict[str, str], expected: Egress | None
) -> None:
    found = ways(tmp_path, f"transport: {{ trust_env: true }}\nupstreams: {{ {LOCAL} }}", env)
    assert found["claude"] == expected
    assert found["local"] is None


@pytest.mark.parametrize("value", ["true", "yes", "1"])
def test_it_may_be_said_by_a_variable(tmp_path: Path, value: str) -> None:
    env = {"CLAUDE_PROXY_TRANSPORT__TRUST_ENV": value, "HTTPS_PROXY": PROXY}
    assert ways(tmp_path, "", env)["claude"] == Egress(PROXY, "", "variable HTTPS_PROXY")


def test_a_variable_that_is_no_proxy_is_told(tmp_path: Path) -> None:
    told = faults(tmp_path, "transport: { trust_env: true }", {"HTTPS_PROXY": "socks5://FAKE-user:FAKE@x:1"})
    assert len(told) == 2  # claude and minimax
    assert "upstreams.claude.proxy: the variable HTTPS_PROXY is no http://host:port" in told[0]
    assert "FAKE" not in "".join(told)


@pytest.mark.parametrize("text", ["http://me:FAKE@p:1", "https://FAKE@p"])
def test_a_login_in_a_proxy_s_url_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    [told] = faults(tmp_path, f"transport: {{ proxy: '{text}' }}")
    assert "transport.proxy: expected a URL without user or password; name them by proxy_auth" in told
    assert "FAKE" not in told


def test_a_login_that_stands_in_the_file_is_refused(tmp_path: Path) -> None:
    [told] = faults(tmp_path, f"transport: {{ proxy: {PROXY}, proxy_auth: 'me:FAKE' }}")
    assert "expected a reference, { env: NAME } or { file: PATH }" in told
    assert "FAKE" not in told


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://p:1", "http://", "http://p:0", "http://p:x", "http://p:1/a"])
def test_what_is_no_proxy_is_told(tmp_path: Path, text: str) -> None:
    [told] = faults(tmp_path, f"upstreams: {{ claude: {{ proxy: '{text}' }} }}")
    assert told.endswith(
        "upstreams.claude.proxy: expected http://host:port, https://host:port or direct; SOCKS is not spoken"
    )


@pytest.mark.parametrize("text", ["http://127.0.0.1:1", "https://localhost", "http://[::1]:1"])
def test_a_proxy_before_this_machine_is_refused(tmp_path: Path, text: str) -> None:
    told = faults(tmp_path, f"upstreams: {{ claude: {{ base_url: '{text}', proxy: {PROXY} }} }}")
    assert "upstreams.claude.proxy: base_url is this machine, and behind a proxy another one would answer" in told[-1]


PLAIN = (
    "credentials: { k: { sources: [env:K] } }\nupstreams: { p: { base_url: 'http://p.example', credential: k%s } }\n"
)


@pytest.mark.parametrize(
    ("text", "env", "where"),
    [
        (PLAIN % f", proxy: {PROXY}", {}, "upstreams.p.proxy"),
        (PLAIN % "" + f"transport: {{ proxy: {PROXY} }}", {}, "transport.proxy"),
        (PLAIN % "" + "transport: { trust_env: true }", {"HTTP_PROXY": PROXY}, "variable HTTP_PROXY"),
    ],
)
def test_no_credential_is_read_by_a_proxy(tmp_path: Path, text: str, env: dict[str, str], where: str) -> None:
    [told] = faults(tmp_path, text, env)
    assert f"upstreams.p.base_url: the proxy of {where} would read the credential" in told
    assert "`proxy: direct` here" in told
    # Without a credential it is the user's to say.
    loaded(tmp_path, text.replace("credential: k", "credential: null"), env)


def test_a_bundle_is_read_for_all_or_for_one_and_only_its_certificates_are_kept(tmp_path: Path) -> None:
    path = bundle(tmp_path)
    path.write_text("-----BEGIN PRIVATE KEY-----\nFAKE\n-----END PRIVATE KEY-----\n" + path.read_text())
    found = ways(tmp_path, f"transport: {{ ca_bundle: {path} }}\nupstreams: {{ claude: {{ proxy: {PROXY} }} }}")
    assert found["minimax"] is not None
    assert found["claude"] is not None
    assert (found["minimax"].proxy, found["minimax"].ca_bundle) == ("", str(path))
    assert (found["claude"].proxy, found["claude"].authorities) == (PROXY, found["minimax"].authorities)
    assert found["claude"].authorities.startswith("-----BEGIN CERTIFICATE-----")
    assert "FAKE" not in found["claude"].authorities
    alone = ways(tmp_path, f"upstreams: {{ claude: {{ ca_bundle: {path} }} }}")
    assert alone["minimax"] is None
    assert alone["claude"] == Egress(ca_bundle=str(path), authorities=found["claude"].authorities)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.pem", None, "there is no file "),
        ("a.pem", b"nothing", " holds no certificate in PEM form"),
        ("a.pem", b"\xff\xfe\x00", " is not text; convert it: openssl x509 -inform der"),
        (".", None, " is not a regular file"),
        (
            "a.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            " cannot be read; ask for the file anew",
        ),
    ],
)
def test_a_bundle_that_is_none_is_told(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    [fault] = faults(tmp_path, f"transport: {{ ca_bundle: {tmp_path}/{name} }}")
    assert "config.yaml:1:" in fault
    assert " transport.ca_bundle: " in fault
    assert told in fault


def test_a_bundle_s_path_is_whole(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, "transport: { ca_bundle: ca.pem }")
    assert fault.endswith("transport.ca_bundle: expected an absolute path, or one below ~")


def test_a_bundle_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    [fault] = faults(tmp_path, f"transport: {{ ca_bundle: {path} }}")
    assert f"{path} cannot be read: File name too long; let the daemon's user read it" in fault
