"""The request that goes out: what is dropped, what is edited, who it claims to be."""

import json

import pytest
from msgspec.structs import replace

from claude_proxy import __version__
from claude_proxy.credentials.credential import OAUTH_BETA, Credential, Scheme
from claude_proxy.dialects.compatible import CompatibleDialect, CompatibleTraits
from claude_proxy.failures import AttemptFailed, FailureKind
from claude_proxy.forwarding.outbound import outbound
from claude_proxy.upstreams.route import Target
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.wire.headers import Headers
from claude_proxy.wire.messages import ClientRequest
from tests.client_requests import headers_of, message_request, other_request
from tests.upstreams.made_upstreams import made_upstream

CLAUDE = replace(
    made_upstream("claude"),
    base_url="https://api.anthropic.com",
    sentinels=frozenset({"proxy-managed", "the-access-token"}),
)
GATEWAY = replace(CLAUDE, name="gateway", base_url="http://127.0.0.1:9/anthropic", pass_through=False)
KIMI = replace(made_upstream("kimi", native=False), base_url="https://kimi.example/anthropic")
OURS = Credential("FAKE-of-the-proxy", Scheme.API_KEY, "env:KEY")
LOGIN = Credential("sk-ant-oat01-FAKE", Scheme.BEARER, "file", stored_login=True)
CLIENTS = Credential("FAKE-of-the-client", Scheme.API_KEY, "client", ours=False)
FROM_CLIENT = ("X-Api-Key", "FAKE-of-the-client")

IDENTIFYING = (
    FROM_CLIENT,
    ("Authorization", "Bearer FAKE-second"),
    ("Cookie", "FAKE-cookie"),
    ("X-Claude-Code-Agent-Id", "a1"),
    ("Via", "1.1 somewhere"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("Referer", "http://127.0.0.1/"),
)


def headers_sent(
    request: ClientRequest, target: Target, credential: Credential | None, access_header: str = "x-claude-proxy-token"
) -> Headers:
    return outbound(request, target, credential, access_header).headers


# --- Anthropic's own -------------------------------------------------------------------------------------


def test_a_request_with_the_clients_own_credential_goes_out_as_it_came() -> None:
    request = message_request(FROM_CLIENT, ("x-new-header", "of the next version"), query="beta=true&x=%2F")
    sent = outbound(request, Target(CLAUDE), CLIENTS, "")
    assert sent.method == "POST"
    assert sent.url == "https://api.anthropic.com/v1/messages?beta=true&x=%2F"
    assert sent.headers == (*request.headers, ("Accept-Encoding", "identity"))
    assert sent.body is request.body


def test_a_request_without_any_credential_goes_out_without_one() -> None:
    request = message_request()
    assert headers_sent(request, Target(CLAUDE), None) == (*request.headers, ("Accept-Encoding", "identity"))


def test_what_belongs_to_one_connection_or_is_ours_to_set_stays_behind() -> None:
    request = message_request(
        FROM_CLIENT,
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "FAKE"),
        ("Host", "127.0.0.1:8082"),
        ("Content-Length", "2"),
        ("Accept-Encoding", "gzip, br"),
        ("Expect", "100-continue"),
        ("X-Claude-Proxy-Anything", "1"),
    )
    assert headers_sent(request, Target(CLAUDE), CLIENTS) == (
        *headers_of(),
        FROM_CLIENT,
        ("Accept-Encoding", "identity"),
    )


def test_the_header_with_the_proxys_access_token_stays_behind() -> None:
    request = message_request(("X-Door", "FAKE-token"), FROM_CLIENT)
    assert ("X-Door", "FAKE-token") not in headers_sent(request, Target(CLAUDE), CLIENTS, "x-door")
    assert ("X-Door", "FAKE-token") in headers_sent(request, Target(CLAUDE), CLIENTS, "x-other-door")


@pytest.mark.parametrize(
    "placeholder",
    [("x-api-key", "proxy-managed"), ("Authorization", "Bearer proxy-managed"), ("x-api-key", "the-access-token")],
)
def test_a_placeholder_stays_behind_whatever_else_is_sent(placeholder: tuple[str, str]) -> None:
    request = message_request(placeholder)
    for credential in (OURS, None):
        assert placeholder[1] not in str(headers_sent(request, Target(CLAUDE), credential))


def test_a_key_of_ours_takes_the_place_of_what_the_client_sent() -> None:
    sent = headers_sent(message_request(FROM_CLIENT, ("Authorization", "Bearer FAKE-second")), Target(CLAUDE), OURS)
    assert sent == (*headers_of(), ("Accept-Encoding", "identity"), ("x-api-key", OURS.secret))


def test_a_login_of_ours_brings_its_beta() -> None:
    sent = dict(headers_sent(message_request(FROM_CLIENT), Target(CLAUDE), LOGIN))
    assert sent["Authorization"] == f"Bearer {LOGIN.secret}"
    assert sent["anthropic-beta"].endswith(f",{OAUTH_BETA}")
    assert "X-Api-Key" not in sent


def test_the_clients_credential_never_goes_to_an_upstream_that_has_one_of_its_own() -> None:
    request = message_request(FROM_CLIENT, ("Authorization", "Bearer FAKE-second"))
    for credential in (OURS, None):
        assert "FAKE-of-the-client" not in str(headers_sent(request, Target(GATEWAY), credential))
        assert "FAKE-second" not in str(headers_sent(request, Target(GATEWAY), credential))


def test_the_path_is_appended_to_that_of_the_base_url() -> None:
    sent = outbound(message_request(query="beta=true"), Target(GATEWAY), OURS, "")
    assert sent.url == "http://127.0.0.1:9/anthropic/v1/messages?beta=true"


def test_a_renamed_model_changes_nothing_else_of_the_body() -> None:
    request = message_request(FROM_CLIENT, model="claude-sonnet-4-5")
    sent = outbound(request, Target(CLAUDE, "claude-renamed"), CLIENTS, "")
    assert sent.body == request.body.replace(b"claude-sonnet-4-5", b"claude-renamed")


def test_a_body_that_was_edited_is_not_called_compressed_any_more() -> None:
    plain = message_request()
    compressed = ClientRequest.read(
        "POST", "/v1/messages", (*headers_of(), ("Content-Encoding", "gzip")), b"compressed", plain.text
    )
    untouched = outbound(compressed, Target(CLAUDE), CLIENTS, "")
    assert untouched.body == b"compressed"
    assert ("Content-Encoding", "gzip") in untouched.headers
    edited = outbound(compressed, Target(CLAUDE, "claude-renamed"), CLIENTS, "")
    assert json.loads(edited.body)["model"] == "claude-renamed"
    assert ("Content-Encoding", "gzip") not in edited.headers


def test_a_request_that_names_no_model_is_sent_as_it_came() -> None:
    request = other_request("POST", "/v1/files?x=1", FROM_CLIENT, body=b"\x00upload")
    sent = outbound(request, Target(CLAUDE, "claude-renamed"), CLIENTS, "")
    assert (sent.method, sent.url, sent.body) == ("POST", "https://api.anthropic.com/v1/files?x=1", b"\x00upload")


# --- a stream in place of a whole message ----------------------------------------------------------------

DEMOTES = replace(CLAUDE, transport=TransportSettings(demote_nonstreaming=True))


def test_a_whole_message_is_asked_for_as_a_stream_and_nothing_else_changes() -> None:
    for said, asked in ((b'"stream": false', b'"stream": true'), (b'"stream": null', b'"stream": true')):
        plain = message_request(FROM_CLIENT, n=1)
        body = plain.body.replace(b'"stream": false', said)
        request = ClientRequest.read("POST", "/v1/messages", plain.headers, body)
        sent = outbound(request, Target(DEMOTES), CLIENTS, "")
        assert sent.body == body.replace(said, asked)
        assert sent.headers == (*request.headers, ("Accept-Encoding", "identity"))
    request = message_request(FROM_CLIENT, stream=None)
    assert outbound(request, Target(DEMOTES), CLIENTS, "").body == request.body.replace(b"{", b'{"stream":true,', 1)


def test_a_stream_can_be_asked_for_of_a_renamed_model_without_what_another_signed() -> None:
    marked = {"type": "thinking", "thinking": "", "signature": "claude-proxy:minimax:FAKE"}
    text = {"type": "text", "text": "hello"}
    turns = [{"role": "assistant", "content": [marked, text]}]
    request = message_request(FROM_CLIENT, messages=turns)
    sent = outbound(request, Target(DEMOTES, "claude-renamed"), CLIENTS, "")
    assert json.loads(sent.body) == {
        **json.loads(request.body),
        "model": "claude-renamed",
        "stream": True,
        "messages": [{"role": "assistant", "content": [text]}],
    }


def test_a_compressed_request_for_a_stream_goes_out_as_plain_json() -> None:
    plain = message_request()
    headers = (*headers_of(), ("Content-Encoding", "gzip"))
    compressed = ClientRequest.read("POST", "/v1/messages", headers, b"compressed", plain.text)
    sent = outbound(compressed, Target(DEMOTES), CLIENTS, "")
    assert sent.body == plain.text.replace(b'"stream": false', b'"stream": true')
    assert "content-encoding" not in {name.lower() for name, _ in sent.headers}


# --- a stranger's ----------------------------------------------------------------------------------------


def test_a_stranger_is_told_how_to_read_the_request_and_nothing_of_who_sent_it() -> None:
    request = message_request(*IDENTIFYING, query="beta=true")
    credential = replace(OURS, scheme=Scheme.BEARER)
    sent = outbound(request, Target(KIMI, "kimi-k2"), credential, "")
    assert sent.headers == (
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
        ("User-Agent", f"claude-proxy/{__version__}"),
        ("Accept-Encoding", "identity"),
        ("Authorization", f"Bearer {OURS.secret}"),
    )
    assert sent.url == "https://kimi.example/anthropic/v1/messages"


def test_a_stranger_that_takes_no_key_gets_none() -> None:
    sent = outbound(message_request(*IDENTIFYING), Target(KIMI), None, "")
    assert {name.lower() for name, _ in sent.headers} == {"accept", "content-type", "user-agent", "accept-encoding"}


def test_a_stranger_gets_the_body_that_it_understands() -> None:
    sent = outbound(message_request(context_management={"edits": []}), Target(KIMI, "kimi-k2"), None, "")
    body = json.loads(sent.body)
    assert body["model"] == "kimi-k2"
    assert "context_management" not in body
    assert "user_id" not in body.get("metadata", {})


def test_a_body_nested_too_deeply_to_be_rewritten_is_the_requests_fault() -> None:
    class OutOfStack(CompatibleDialect):
        def request(self, request: ClientRequest, model: str | None) -> bytes:
            raise RecursionError

    kimi = replace(KIMI, dialect=OutOfStack("kimi", CompatibleTraits()))
    with pytest.raises(AttemptFailed) as raised:
        outbound(message_request(), Target(kimi), None, "")
    assert "nested too deeply" in raised.value.failure.message
    assert raised.value.failure.kind is FailureKind.INVALID_REQUEST


def test_a_compressed_body_reaches_a_stranger_as_plain_json() -> None:
    plain = message_request()
    compressed = ClientRequest.read(
        "POST", "/v1/messages", (*headers_of(), ("Content-Encoding", "gzip")), b"compressed", plain.text
    )
    sent = outbound(compressed, Target(KIMI), None, "")
    assert json.loads(sent.body)["model"] == plain.model
    assert "content-encoding" not in {name.lower() for name, _ in sent.headers}
