"""One exchange with all that was kept: any body comes out as it was recorded, and the whole is always JSON."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from claude_proxy.ledger.record import Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change
from claude_proxy.web.detail import PARTS, detail
from claude_proxy.wire.json_parts import is_json
from tests.ledger.made_records import bodies, record
from tests.web.described import assert_as_schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(tmp_path / "ledger.db")) as store:
        yield store


def shown(store: SqliteStore, of: ExchangeRecord, given: Bodies | None = None, parts: tuple[str, ...] = PARTS) -> bytes:
    store.write([Change(of, given)])
    with contextlib.closing(store.reader()) as reader:
        found = reader.record(of.id)
        assert found is not None
        return detail(reader, found, parts)


NUMBERS = iter(range(1, 1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=bodies, answer=bodies, stream=st.booleans())
@example(request=b"", answer=b'{"type":"error"', stream=True)
def test_any_body_comes_out_as_it_was(store: SqliteStore, request: bytes, answer: bytes, *, stream: bool) -> None:
    of = record(next(NUMBERS), kept=Kept.WHOLE, stream=stream)
    text = shown(store, of, Bodies((), request, (), answer))
    told: Any = json.loads(text)
    assert_as_schema(told, "RequestDetail")
    for where, body in ((told, request), (told["response"], answer)):
        if is_json(body):
            assert where["bodyText"] is None
            assert b'"body":' + body in text
        elif not (stream and where is told["response"]):
            assert (where["body"], where["bodyText"]) == (None, body.decode("utf-8", "replace"))


def test_what_was_not_kept_is_null(store: SqliteStore) -> None:
    told = json.loads(shown(store, record(1)))
    assert (told["headers"], told["body"], told["bodyText"], told["bodies"]) == (None, None, None, "none")
    response = told["response"]
    assert (response["headers"], response["body"], response["bodyText"]) == (None, None, None)
    assert len(told["attempts"]) == 1


def test_a_stream_that_is_torn_describes_no_message(store: SqliteStore) -> None:
    told = json.loads(
        shown(store, record(1, kept=Kept.CUT), Bodies((), b"{}", (), b"event: message_start\ndata: {\n\n"))
    )
    assert told["response"]["body"] is None
    assert told["response"]["bodyText"].startswith("event: message_start")


def test_bodies_are_not_read_where_nobody_asks_for_them(store: SqliteStore) -> None:
    class NoBodies:
        def bodies(self, _: str) -> Bodies:
            raise AssertionError("read for nothing")

    told = json.loads(detail(NoBodies(), record(1), ("attempts",)))  # type: ignore[arg-type]  # a reader in this alone
    assert told["attempts"]
    assert told["body"] is None
