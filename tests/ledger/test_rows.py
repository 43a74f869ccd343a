"""A record is written as a row and as JSON, and comes back from both as it was."""

import json

import pytest
from hypothesis import given
from msgspec.structs import replace
from multidict import istr

from claude_proxy.ledger.record import ExchangeRecord
from claude_proxy.ledger.rows import COLUMNS, encoded, record, record_of, record_shown, row
from tests.ledger.made_records import begun, records
from tests.ledger.made_records import record as made


@given(one=records)
def test_a_record_comes_back_from_its_row(one: ExchangeRecord) -> None:
    values = row(one)
    assert len(values) == len(COLUMNS)
    assert record(7, values) == replace(one, number=7, first_message=None)


@given(one=records)
def test_a_record_comes_back_from_json(one: ExchangeRecord) -> None:
    assert record_of(json.loads(json.dumps(record_shown(one)))) == one


def test_what_is_not_said_is_not_written() -> None:
    assert {"status", "end", "usage", "attempts", "list_value"}.isdisjoint(record_shown(begun()))
    assert len(row(made())[-1]) < 500


@pytest.mark.parametrize("shown", [{}, {"id": ""}, {"id": "x", "unknown": 1}, {"id": "x", "usage": 1}, {"id": 1}])
def test_what_is_no_record_is_refused(shown: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no record"):
        record_of(shown)


def test_a_damaged_row_is_refused() -> None:
    values = row(made())
    for damaged in (b"", b"p{}", b'p{"unknown":1}', b"z00"):
        with pytest.raises(ValueError, match=r"damaged|Expecting"):
            record(1, [*values[:-1], damaged])


@pytest.mark.parametrize("text", ["plain", "\udcff", istr("Content-Type"), istr("\udcff")])
def test_any_text_is_written_as_json(text: str) -> None:
    assert json.loads(encoded([[text, text]])) == [[text, text]]


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        encoded([object()])
