"""A ledger that is exported and read back is the same ledger, whatever it holds."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from claude_proxy.ledger.export import Imported, NoExport, export_lines, import_lines
from claude_proxy.ledger.record import Bodies, Kept
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import WHOLE_KEY, Change, Filter, Retention
from tests.ledger.made_records import NOON, begun, bodies, conversation, record, records, with_bodies

ALL = Filter()
changes = st.builds(
    lambda one, request, answer, conversation: Change(
        replace(one, kept=Kept.WHOLE, conversation=conversation), Bodies((("a", "b"),), request, (("c", "d"),), answer)
    ),
    records,
    bodies,
    bodies,
    st.sampled_from(["one", "other"]),
)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    with (
        contextlib.closing(SqliteStore(tmp_path / "one.db")) as one,
        contextlib.closing(SqliteStore(tmp_path / "other.db")) as other,
    ):
        yield one, other


def exported(store: SqliteStore) -> list[str]:
    with contextlib.closing(store.reader()) as reader:
        return list(export_lines(reader))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(changes | st.builds(Change, records), max_size=5), keep=st.floats(1e6, 1e9))
def test_what_is_read_back_is_an_equal_ledger(
    stores: tuple[SqliteStore, SqliteStore], written: list[Change], keep: float
) -> None:
    one, other = stores
    one.clear()
    other.clear()
    one.write(written)
    while one.prune(Retention(keep, 0), 2e9):  # so that some of it is there in sums alone
        pass
    lines = exported(one)
    import_lines(lines, other)
    assert exported(other) == lines
    with contextlib.closing(one.reader()) as reader, contextlib.closing(other.reader()) as then:
        assert reader.totals(ALL, WHOLE_KEY) == then.totals(ALL, WHOLE_KEY)
        for found in reader.records(ALL, 10):
            assert reader.bodies(found.id) == then.bodies(found.id)
    again = import_lines(lines, other)
    assert (again.new, again.totals) == (0, 0)
    assert exported(other) == lines


def test_more_than_a_page_is_exported_in_order(stores: tuple[SqliteStore, SqliteStore]) -> None:
    one, other = stores
    one.write([Change(record(number, accepted=NOON + number // 7)) for number in range(450)])
    lines = exported(one)
    ids = [json.loads(line)["record"]["id"] for line in lines]
    assert ids == sorted(ids)
    assert len(ids) == 450
    assert import_lines(lines, other) == Imported(450, 450, 0)


def test_a_line_says_what_it_is_in_words(stores: tuple[SqliteStore, SqliteStore]) -> None:
    one, _ = stores
    one.write([with_bodies(1, conversation(2), b"\xff\xfe")])
    (line,) = exported(one)
    shown = json.loads(line)
    assert shown["record"]["asked_model"] == "claude-opus-4-8"
    assert shown["record"]["first_message"] == "say hi"
    assert shown["request"] == conversation(2).decode()
    assert shown["answer"] == {"base64": "//4="}
    assert shown["request_headers"] == [["Content-Type", "application/json"]]


def test_what_has_begun_there_and_ended_here_is_completed(stores: tuple[SqliteStore, SqliteStore]) -> None:
    one, other = stores
    other.write([Change(begun())])
    one.write([Change(record())])
    assert import_lines(exported(one), other) == Imported(1, 0, 0)
    assert exported(other) == exported(one)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"record": {}}', '{"record": 1}', '{"total": {}}', '{"record": {"id": "x", "FAKE": 1}}', "1"],
)
def test_what_is_no_export_is_refused_by_its_line(stores: tuple[SqliteStore, SqliteStore], line: str) -> None:
    one, other = stores
    one.write([Change(record())])
    with pytest.raises(NoExport, match=r"^line 3 is of no export: \w+$"):
        import_lines([*exported(one), "", line], other)
