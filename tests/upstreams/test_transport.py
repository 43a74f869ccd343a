"""The call itself, over real sockets: what is sent and what comes back. How it fails: test_transport_faults.py."""

import asyncio
from contextlib import closing

import pytest

from claude_proxy.upstreams.transport import BrokenOff
from tests.stand_in import Received, StandIn, Wire, hangs, raw, replies, streams
from tests.upstreams.calls import body_of, send, to, transport

# --- what is sent ----------------------------------------------------------------------------------------


async def test_headers_are_sent_in_their_order_and_spelling_and_none_is_added() -> None:
    headers = (
        ("X-Stainless-Lang", "js"),
        ("anthropic-beta", "a,b"),
        ("x-APP", "cli"),
        ("accept", "application/json"),
        ("anthropic-beta", "c"),
        ("Accept-Encoding", "identity"),
    )
    async with StandIn() as upstream, transport() as through:
        await body_of(await send(through, to(upstream.url, headers=headers, body=b'{"model":"m"}')))
        host = ("Host", f"127.0.0.1:{upstream.port}")
    assert upstream.received[0].headers == (host, *headers, ("Content-Length", "13"))


async def test_a_header_that_comes_twice_keeps_both_values() -> None:
    headers = (("anthropic-beta", "a,b"), ("x-app", "cli"), ("Anthropic-Beta", "c"))
    async with StandIn() as upstream, transport() as through:
        await body_of(await send(through, to(upstream.url, headers=headers)))
        betas = [value for name, value in upstream.received[0].headers if name.lower() == "anthropic-beta"]
        assert betas == ["a,b", "c"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_request_without_a_body_has_nothing_that_speaks_of_one(method: str) -> None:
    async with StandIn() as upstream, transport() as through:
        await body_of(await send(through, to(upstream.url, "/v1/models", method, body=b"")))
    assert upstream.received[0].method == method
    assert [name for name, _ in upstream.received[0].headers if name != "Content-Length"] == ["Host"]
    assert upstream.received[0].header("Content-Length") in (None, "0")
    assert upstream.received[0].body == b""


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages?beta=true",
        "/v1/messages?a=%2F&b=%2f&c=%7E~&d=a+b&e=%20&e=%E4%B8%96",
        "/v1/files/file_011%2Fx",
        "/v1/messages?q=[x]|{y}'\"`^\\",
        "/v1/models//x",
        "/v1/a/../b/./c",
        "/v1/messages?a=b?c=d&&=",
    ],
)
async def test_path_and_query_are_sent_as_they_stand(target: str) -> None:
    async with StandIn() as upstream, transport() as through:
        answer = await send(through, to(upstream.url, target))
        answer.close()
    assert upstream.received[0].target == target


async def test_the_body_is_sent_byte_for_byte() -> None:
    body = bytes(range(256)) * 5000
    async with StandIn(replies(200, b"{}")) as upstream, transport() as through:
        await body_of(await send(through, to(upstream.url, body=body)))
    assert upstream.received[0].body == body


async def test_no_cookie_of_an_upstream_is_ever_sent_back() -> None:
    async with StandIn(replies(200, b"{}", [("Set-Cookie", "a=b; Path=/")])) as upstream, transport() as through:
        by_name = upstream.url.replace("127.0.0.1", "localhost")  # no client keeps the cookies of a bare address
        for _ in range(2):
            await body_of(await send(through, to(by_name)))
    assert upstream.received[1].header("Cookie") is None


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login FAKE password FAKE\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with StandIn(replies(200, b"{}")) as upstream, transport() as through:
        await body_of(await send(through, to(upstream.url)))
    assert upstream.received[0].header("Authorization") is None


# --- what comes back -------------------------------------------------------------------------------------


async def test_status_and_headers_come_back_in_their_order_and_spelling() -> None:
    headers = [
        ("X-b", "2"),
        ("x-A", "1"),
        ("X-b", "3"),
        ("retry-after", "7"),
        ("content-TYPE", "Application/JSON; charset=utf-8"),
    ]
    async with StandIn(replies(418, b"{}", headers)) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        assert answer.status == 418
        assert answer.headers == (*headers, ("Content-Length", "2"))
        assert answer.media_type == "application/json"
        assert not answer.is_stream
        assert await body_of(answer) == b"{}"


async def test_a_header_that_is_no_text_is_left_out_and_the_others_stay() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nX-Other: caf\xc3\xa9\r\nContent-Length: 2\r\n\r\n{}"
    async with StandIn(raw(head)) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        assert answer.headers == (("X-Other", "caf\u00e9"), ("Content-Length", "2"))
        await body_of(answer)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("text/event-stream", True), ("Text/Event-Stream; charset=utf-8", True), ("text/plain", False), ("", False)],
)
async def test_a_stream_is_known_by_its_media_type(content_type: str, expected: bool) -> None:
    async with StandIn(replies(200, b"x", [("Content-Type", content_type)])) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as answer:
            assert answer.is_stream is expected


async def test_an_answer_without_a_media_type_has_none() -> None:
    async with StandIn(replies(200, b"x", [])) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as answer:
            assert (answer.media_type, answer.is_stream) == ("", False)


async def test_chunks_arrive_one_by_one_as_they_are_sent() -> None:
    go_on = asyncio.Event()

    async def slowly(_: Received, wire: Wire) -> None:
        await wire.start_stream()
        await wire.chunk(b"first")
        await go_on.wait()
        await wire.chunk(b"second")
        await wire.end()

    async with StandIn(slowly) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as answer:
            chunks = answer.chunks()
            assert await anext(chunks) == b"first"
            go_on.set()
            assert await anext(chunks) == b"second"
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)


async def test_nothing_is_decompressed() -> None:
    headers = [("Content-Encoding", "gzip")]
    async with StandIn(replies(200, b"\x1f\x8b no gzip", headers)) as upstream, transport() as through:
        assert await body_of(await send(through, to(upstream.url))) == b"\x1f\x8b no gzip"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with StandIn() as elsewhere, transport() as through:
        redirect = replies(status, b"", [("Location", f"{elsewhere.url}/v1/messages")])
        async with StandIn(redirect) as upstream:
            answer = await send(through, to(upstream.url, headers=(("x-api-key", "FAKE"),)))
            assert answer.status == status
            await body_of(answer)
        assert elsewhere.connections == 0


async def test_informational_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3
    async with (
        StandIn(raw(early + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as upstream,
        transport() as through,
    ):
        answer = await send(through, to(upstream.url))
        assert answer.status == 200
        assert await body_of(answer) == b"{}"


async def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    async with StandIn(raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")) as upstream, transport() as through:
        assert await body_of(await send(through, to(upstream.url))) == b"until the end"


async def test_a_header_field_as_long_as_a_content_security_policy_is_read() -> None:
    policy = "x" * 60_000
    async with StandIn(replies(200, b"{}", [("X-Policy", policy)])) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        assert ("X-Policy", policy) in answer.headers
        await body_of(answer)


async def test_a_head_of_two_hundred_fields_is_read() -> None:
    headers = [(f"X-Field-{number}", "1") for number in range(200)]
    async with StandIn(replies(200, b"{}", headers)) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        assert answer.headers[:200] == tuple(headers)
        await body_of(answer)


# --- reading it whole ------------------------------------------------------------------------------------


async def test_a_body_is_read_whole_up_to_its_limit() -> None:
    async with StandIn(streams([b"12345", b"67890"])) as upstream, transport() as through:
        with closing(await send(through, to(upstream.url))) as answer:
            assert await answer.read(10) == b"1234567890"


async def test_a_body_beyond_its_limit_is_given_up_and_its_connection_closed() -> None:
    async with StandIn(hangs([b"1234567890", b"1"])) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        with closing(answer), pytest.raises(BrokenOff, match="longer than 10 bytes"):
            await answer.read(10)
        await upstream.wait_for(lambda: upstream.open_connections == 0)


# --- connections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [replies(200, b"{}"), streams([b"a", b"b"]), replies(200, b"")])
async def test_a_connection_is_used_again_after_a_whole_answer(answer: object) -> None:
    async with StandIn(answer) as upstream, transport() as through:  # type: ignore[arg-type]
        for _ in range(3):
            await body_of(await send(through, to(upstream.url)))
        assert [received.connection for received in upstream.received] == [1, 1, 1]


async def test_a_connection_is_closed_after_a_part_of_an_answer() -> None:
    async with StandIn(hangs([b"a part"])) as upstream, transport() as through:
        answer = await send(through, to(upstream.url))
        assert await anext(answer.chunks()) == b"a part"
        answer.close()
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_a_connection_is_closed_when_nothing_of_the_answer_was_read() -> None:
    async with StandIn(hangs([b"a part"])) as upstream, transport() as through:
        (await send(through, to(upstream.url))).close()
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with StandIn(hangs()) as upstream, transport() as through:
        call = asyncio.create_task(send(through, to(upstream.url)))
        await upstream.wait_for(lambda: len(upstream.received) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await upstream.wait_for(lambda: upstream.open_connections == 0)


async def test_bytes_behind_an_answer_are_never_given_to_the_next_request() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

    async def two_at_once(_: Received, wire: Wire) -> None:
        await wire.send(first + smuggled)

    async with StandIn(replies(200, b"second")) as upstream, transport() as through:
        upstream.then(two_at_once)
        assert await body_of(await send(through, to(upstream.url))) == b"first"
        assert await body_of(await send(through, to(upstream.url))) == b"second"
