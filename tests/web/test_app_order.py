"""In which order a request is checked, what counts as in flight, and which paths no two readers read differently."""

import asyncio
import posixpath
from collections.abc import Sequence
from unittest import mock
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.live import LiveEvents
from claude_proxy.web.app import App
from claude_proxy.web.conversations import ConversationsDoor
from claude_proxy.web.drain import Drain
from claude_proxy.web.errors import Refused
from claude_proxy.web.events import EventsDoor
from claude_proxy.web.guard import AccessSettings, Guard
from claude_proxy.web.health import Health
from claude_proxy.web.messages import MessagesDoor
from claude_proxy.web.models import ModelsDoor
from claude_proxy.web.reading import LedgerReads
from claude_proxy.web.requests import RequestsDoor
from claude_proxy.web.stats import StatsDoor

HOST = ("Host", "127.0.0.1:8082")
FOREIGN = ("Host", "evil.example")


class Doors:
    """The app before doors that answer nothing of their own; `forwarded` are the targets that came to the one."""

    def __init__(self, access: AccessSettings | None = None) -> None:
        self.drain = Drain()
        self.forwarded: list[str] = []
        self.in_flight: list[int] = []
        self.fault: Exception | None = None
        messages = mock.create_autospec(MessagesDoor, instance=True)
        messages.answer.side_effect = self._answer
        health = mock.create_autospec(Health, instance=True)
        health.livez.side_effect = self._answer
        reads = LedgerReads(None)
        events = EventsDoor(LiveEvents(Pricing()), self.drain)
        guard = Guard(access or AccessSettings(), 8082)
        self.app = App(
            guard,
            self.drain,
            messages,
            ModelsDoor({}),
            health,
            events,
            RequestsDoor(reads),
            StatsDoor(reads),
            ConversationsDoor(reads),
        )

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.forwarded.append(request.raw_path)
        self.in_flight.append(self.drain.in_flight)
        if self.fault is not None:
            raise self.fault
        return web.Response()

    async def ask(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (HOST,),
        version: HttpVersion = HttpVersion11,
    ) -> web.StreamResponse:
        return await self.app(make_mocked_request(method, target, headers=CIMultiDict(headers), version=version))


async def test_who_may_not_come_in_does_not_learn_which_paths_and_methods_there_are() -> None:
    doors = Doors()
    answers = [
        await doors.ask(method, target, [FOREIGN])
        for method in ("GET", "POST", "OPTIONS", "FROB")
        for target in ("/health", "/nowhere", "/v1/messages", "/v1/chat/completions")
    ]
    assert {answer.headers["x-claude-proxy-error"] for answer in answers} == {"misdirected"}
    assert doors.forwarded == []


async def test_who_may_not_come_in_does_not_learn_that_it_drains() -> None:
    doors = Doors(AccessSettings(token="FAKE-token"))
    doors.drain.begin()
    assert (await doors.ask("POST", "/v1/messages")).headers["x-claude-proxy-error"] == "access_token"
    right = ("x-claude-proxy-token", "FAKE-token")
    assert (await doors.ask("POST", "/v1/messages", [HOST, right])).headers["x-claude-proxy-error"] == "draining"


async def test_a_request_is_in_flight_while_it_is_answered_and_not_after() -> None:
    doors = Doors()
    await doors.ask("POST", "/v1/messages")
    doors.fault = Refused(400, "bad_body", "no")
    assert (await doors.ask("POST", "/v1/messages")).status == 400
    doors.fault = ValueError("of the test")
    with pytest.raises(ValueError, match="of the test"):
        await doors.ask("POST", "/v1/messages")
    assert doors.in_flight == [1, 1, 1]
    assert doors.drain.in_flight == 0


async def test_a_question_about_the_daemon_itself_is_not_in_flight() -> None:
    """Nobody who watches a drain may hold it up."""
    doors = Doors()
    await doors.ask("GET", "/livez")
    doors.drain.begin()
    await doors.ask("HEAD", "/livez")
    assert doors.in_flight == [0, 0]


async def test_what_is_in_flight_when_a_drain_begins_is_answered() -> None:
    doors = Doors()
    with doors.drain.request():
        doors.drain.begin()
        waiting = asyncio.create_task(doors.drain.empty())
        refused = await doors.ask("POST", "/v1/messages")
        assert not waiting.done()
    await asyncio.wait_for(waiting, 10)
    assert (refused.status, refused.keep_alive) == (503, False)
    assert doors.forwarded == []


ALLOWED = {
    "/health": {"GET", "HEAD"},
    "/v1/models": {"GET", "HEAD"},
    "/v1/messages": {"POST"},
    "/v1/messages/count_tokens": {"POST"},
    "/v1/chat/completions": {"POST"},
    "/v1/files": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
}


@pytest.mark.parametrize("path", ALLOWED)
async def test_a_method_that_is_not_served_is_answered_with_those_that_are(path: str) -> None:
    """RFC 9110 15.5.6: a 405 must carry Allow."""
    answer = await Doors().ask("OPTIONS", path)
    assert (answer.status, answer.keep_alive) == (405, False)
    assert {method.strip() for method in answer.headers.get("Allow", "").split(",")} == ALLOWED[path]


CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([CHUNKED], HttpVersion11, 200),
        ([("Transfer-Encoding", " Chunked ")], HttpVersion11, 200),
        ([CHUNKED], HttpVersion10, 400),
        ([CHUNKED, CHUNKED], HttpVersion11, 400),
        ([("Transfer-Encoding", "gzip, chunked")], HttpVersion11, 400),
        ([("Transfer-Encoding", "")], HttpVersion11, 400),
        ([("Upgrade", "h2c"), ("Connection", "Upgrade")], HttpVersion11, 400),
    ],
    ids=["chunked", "in capitals", "in HTTP/1.0", "twice", "with another", "empty", "another protocol"],
)
async def test_only_plain_framing_comes_in(headers: list[tuple[str, str]], version: HttpVersion, status: int) -> None:
    """Whatever the parser makes of it: where two servers could see the end of a body differently, it is refused."""
    answer = await Doors().ask("POST", "/v1/messages", [HOST, *headers], version)
    assert answer.status == status
    assert (answer.keep_alive is False) == (status == 400)


# --- paths ---------------------------------------------------------------------------------------------

SEGMENTS = st.sampled_from(
    [
        "v1",
        "messages",
        "a.b",
        "..",
        ".",
        "...",
        "",
        "%2e",
        "%2E%2e",
        "%2f",
        "a%00",
        "a;b",
        "..;",
        "\\..",
        "a b",
        "é",
        "x:y@z",
    ]
)
ODD = st.text("/.%25eEfF\\;?#:@ab\0\t \x7f~", max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(SEGMENTS, max_size=5).map("/".join) | ODD)
@example("/")
@example("messages//")
@example("messages/")
def test_a_path_that_is_forwarded_is_read_alike_by_all(rest: str) -> None:
    """By one that decodes, one that removes dot segments, and one that takes the text as it is."""
    doors = Doors()
    target = f"/v1/{rest}"
    answer = asyncio.run(doors.ask("GET", target))
    if doors.forwarded:
        (path,) = {part.partition("?")[0] for part in doors.forwarded}
        assert unquote(path) == path
        assert posixpath.normpath(path) == path.removesuffix("/")
        assert urlsplit(f"http://h{target}").path == path
        assert URL(f"http://h{target}").raw_path == path
    else:
        assert answer.status in {400, 405}
        assert answer.keep_alive is False


@pytest.mark.parametrize("sign", [" ", "\t", "\x00", "\x7f", "é", "\udcff", "\n"])
async def test_a_query_of_other_signs_than_visible_ones_is_refused(sign: str) -> None:
    doors = Doors()
    assert (await doors.ask("GET", f"/v1/files?a={sign}")).status == 400
    assert doors.forwarded == []


@settings(max_examples=50, deadline=None)
@given(st.from_regex(r"[a-z0-9_.~:@!$&'()*+,=-]{1,20}", fullmatch=True).filter(lambda text: text not in {".", ".."}))
def test_a_plain_path_is_forwarded(name: str) -> None:
    doors = Doors()
    asyncio.run(doors.ask("GET", f"/v1/x/{name}/y?{name}%2F"))
    assert doors.forwarded == [f"/v1/x/{name}/y?{name}%2F"]
