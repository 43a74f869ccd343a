"""A batch is written table by table, and it is as if each of its changes had been written for itself."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change, LedgerError, Retention
from tests.ledger.made_records import NOON, begun, conversation, record, with_bodies

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[[], SqliteStore]]:
    made: list[SqliteStore] = []

    def make() -> SqliteStore:
        made.append(SqliteStore(tmp_path / f"{len(made)}.db"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def held(store: SqliteStore) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    tables = ("exchange", "body", "block", "content", "conversation", "usage")
    with closing(sqlite3.connect(store.path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def one_of_any(number: int, fields: dict[str, Any], kind: int) -> Change:
    if kind == 0:
        return Change(begun(number, **fields))
    if kind == 1:
        return Change(record(number, **fields))
    secrets = frozenset({"something that was said, at"} if kind == 2 else ())
    change = with_bodies(number, conversation(number), **fields)
    return Change(change.record, change.bodies, secrets)


changes = st.lists(
    st.builds(
        one_of_any,
        st.integers(1, 5),
        st.fixed_dictionaries(
            {},
            optional={
                "conversation": st.sampled_from([None, "a", "b"]),
                "project": st.sampled_from([None, "/p"]),
                "agent": st.just("agent"),
                "accepted": st.sampled_from([NOON, NOON + 100_000]),
            },
        ),
        st.integers(0, 4),
    ),
    max_size=8,
)


@QUICK
@given(before=changes, together=changes)
def test_a_batch_is_as_its_changes_one_by_one(
    stores: Callable[[], SqliteStore], before: list[Change], together: list[Change]
) -> None:
    at_once, one_by_one = stores(), stores()
    at_once.write(before)
    at_once.write(together)
    for change in (*before, *together):
        one_by_one.write([change])
    assert held(at_once) == held(one_by_one)


def test_what_an_exchange_began_with_stays(stores: Callable[[], SqliteStore]) -> None:
    store = stores()
    store.write([Change(begun(1))])
    store.write([Change(record(1, asked_model="another", accepted=NOON + 9, model="routed"))])
    (found,) = [row[:6] for row in held(store)["exchange"]]
    assert found == (1, record(1).id, NOON + 1, "/v1/messages", "claude-opus-4-8", "routed")


def test_what_was_undone_is_not_taken_for_there(stores: Callable[[], SqliteStore]) -> None:
    store = stores()
    impossible = Change(record(2, status=object()))
    with pytest.raises(LedgerError):
        store.write([with_bodies(1, conversation(4)), impossible])
    store.write([with_bodies(1, conversation(4))])
    reader = store.reader()
    found = reader.bodies(record(1).id)
    assert found is not None
    assert found.request == conversation(4)
    assert reader.faults() == []
    reader.close()


def test_what_was_let_go_is_not_taken_for_there(stores: Callable[[], SqliteStore]) -> None:
    store = stores()
    store.write([with_bodies(1, conversation(4))])
    while store.prune(Retention(1, 0), NOON + 1e6):
        pass
    store.write([with_bodies(2, conversation(4))])
    numbers = [row[0] for row in held(store)["block"]]
    assert numbers == [6, 7, 8, 9, 10], "a number is never given again"
    store.clear()
    store.write([with_bodies(3, conversation(4))])
    reader = store.reader()
    found = reader.bodies(record(3).id)
    assert found is not None
    assert found.request == conversation(4)
    assert reader.faults() == []
    reader.close()
