"""A request that asks for a stream instead: nothing else of it changes."""

import pytest

from claude_proxy.wire.messages import ClientRequest


def asked_in(body: bytes, text: bytes | None = None) -> ClientRequest:
    return ClientRequest.read("POST", "/v1/messages?beta=true", (("x-app", "cli"),), body, text, local=False)


@pytest.mark.parametrize(
    ("sent", "asks"),
    [
        (b'{ "model": "m" , "n": 1e400}', b'{"stream":true, "model": "m" , "n": 1e400}'),
        (b'{"model":"m","stream":false}', b'{"model":"m","stream":true}'),
        (b'{"stream" : null,\n"model":"m"}', b'{"stream" : true,\n"model":"m"}'),
        (b'{"model":"m","str\\u0065am":false}', b'{"model":"m","str\\u0065am":true}'),
    ],
)
def test_a_request_can_ask_for_a_stream_instead_without_any_other_change(sent: bytes, asks: bytes) -> None:
    request = asked_in(sent)
    streamed = request.as_stream()
    assert (streamed.body, streamed.text, streamed.stream) == (asks, asks, True)
    assert (request.body, request.stream) == (sent, False)
    again = asked_in(asks)
    assert (again.model, again.stream) == (streamed.model, streamed.stream)


def test_all_else_of_a_request_stays_as_it_is() -> None:
    request = asked_in(b'{"model":"m","max_tokens":1}')
    streamed = request.as_stream()
    assert (streamed.method, streamed.target, streamed.headers) == (request.method, request.target, request.headers)
    assert (streamed.model, streamed.local) == ("m", False)
    assert streamed.members is not None
    assert streamed.members.get("max_tokens") == 1


def test_of_a_compressed_body_its_text_is_changed() -> None:
    streamed = asked_in(b"compressed", b'{"model":"m"}').as_stream()
    assert streamed.body == streamed.text == b'{"stream":true,"model":"m"}'
