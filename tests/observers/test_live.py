"""What happens now is numbered and kept for a while, and told to whoever asks for what came after a number."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.exchange import End
from claude_proxy.ledger.pricing import Pricing
from claude_proxy.observers.live import KEPT, LiveEvents
from claude_proxy.wire.sse import events
from claude_proxy.wire.usage import Usage
from tests.client_requests import message_request, other_request
from tests.observers.closed_exchanges import REFUSED, attempt, exchange

PRICING = Pricing()


def filled(number: int) -> tuple[LiveEvents, int]:
    """So many events, and the id before the first of them."""
    live = LiveEvents(PRICING)
    before = live.last
    for count in range(number):
        live.closed(exchange(id=f"req_cp_{count}"))
    return live, before


def told(heard: Sequence[bytes]) -> list[tuple[str, Any]]:
    return [(event.name, json.loads(event.data)) for block in heard for event in events(block)]


def ids(heard: Sequence[bytes]) -> list[int]:
    return [int(block.partition(b"\n")[0].removeprefix(b"id: ")) for block in heard]


def test_an_exchange_is_told_when_it_begins_and_when_it_ends() -> None:
    live = LiveEvents(PRICING)
    before = live.last
    one = exchange(message_request(stream=True), attempts=[attempt(), attempt()])
    live.began(one)
    live.closed(one)
    (begin, began), (end, ended) = told(live.after(before).events)
    assert (begin, end) == ("begin", "end")
    assert began == {
        "id": "req_cp_1",
        "time": 1_800_000_000.0,
        "method": "POST",
        "path": "/v1/messages",
        "model": one.request.model,
        "agent": "main",
        "stream": True,
    }
    assert ended == {
        "id": "req_cp_1",
        "time": 1_800_000_000.0,
        "model": one.request.model,
        "route": "everything",
        "upstream": "claude",
        "status": 200,
        "end": "complete",
        "first_byte_ms": 250,
        "total_ms": 1500,
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read": 5,
        "list_value": "0.00014775",
        "attempts": 2,
    }


def test_what_is_not_known_is_null() -> None:
    live = LiveEvents(PRICING)
    before = live.last
    lost = exchange(
        other_request("GET", "/v1/files"), first_byte=None, route="", upstream="", usage=Usage(), attempts=[]
    )
    live.began(lost)
    live.closed(lost)
    (_, began), (_, ended) = told(live.after(before).events)
    assert (began["model"], began["path"]) == (None, "/v1/files")
    for name in ("model", "route", "upstream", "first_byte_ms", "input_tokens", "output_tokens", "cache_read"):
        assert ended[name] is None
    assert ended["attempts"] == 0


def test_a_subagent_and_a_failure_are_told_as_such() -> None:
    live = LiveEvents(PRICING)
    before = live.last
    live.began(exchange(message_request(("x-claude-code-agent-id", "a1"))))
    live.closed(exchange(end=End.CLIENT_GONE, status=499))
    (_, began), (_, ended) = told(live.after(before).events)
    assert began["agent"] == "sub"
    assert (ended["end"], ended["status"]) == ("client_gone", 499)


def test_a_path_of_any_length_is_kept_short() -> None:
    live = LiveEvents(PRICING)
    before = live.last
    live.began(exchange(other_request("GET", f"/v1/{'x' * 50_000}")))
    (block,) = live.after(before).events
    assert len(block) < 500
    assert told([block])[0][1]["path"].startswith("/v1/xxx")


def test_ids_go_up_by_one_and_only_the_last_are_kept() -> None:
    live, before = filled(KEPT + 20)
    heard = live.after(before + 20)
    assert ids(heard.events) == list(range(before + 21, before + KEPT + 21))
    assert (heard.last, heard.missed) == (live.last, False)
    assert live.after(before + 19).missed
    assert live.after(before + 19).events == heard.events


def test_who_knows_the_newest_is_told_nothing_and_who_is_of_another_time_everything() -> None:
    live, before = filled(3)
    assert live.after(live.last).events == ()
    assert ids(live.after(live.last + 1000).events) == [before + 1, before + 2, before + 3]
    assert ids(live.after(0).events) == [before + 1, before + 2, before + 3]
    assert live.after(0).missed
    assert LiveEvents(PRICING).after(0).events == ()


def test_a_process_that_comes_later_goes_on_with_higher_ids() -> None:
    live, _ = filled(3)
    later = live.last / 1000 + 1
    assert LiveEvents(PRICING, clock=lambda: later).last > live.last


@settings(deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(1, 12), min_size=1))
def test_whoever_asks_in_pieces_is_told_each_event_once_in_order(number: int, pieces: list[int]) -> None:
    live, last = filled(number)
    whole, got = live.after(last).events, list[bytes]()
    while last < live.last:
        heard = live.after(last, pieces[len(got) % len(pieces)])
        got += heard.events
        last = heard.last
    assert tuple(got) == whole
    assert len(whole) == number


async def test_news_comes_with_the_next_event_and_not_with_an_earlier_one() -> None:
    live, _ = filled(1)
    waiting = asyncio.create_task(live.news())
    await asyncio.sleep(0)
    assert not waiting.done()
    live.began(exchange())
    await asyncio.wait_for(waiting, 5)


def test_only_begin_and_end_are_told() -> None:
    live, _ = filled(1)
    newest = live.last
    live.skipped(exchange(), "claude", REFUSED)
    live.quota_read(exchange(), attempt())
    live.attempt_failed(exchange(), attempt(failure=REFUSED))
    assert live.last == newest
