"""What every ledger does, whatever keeps it: the suite that each `LedgerStore` runs."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from claude_proxy.ledger.record import Bodies, ExchangeRecord, Kept
from claude_proxy.ledger.store import (
    BUCKET,
    WHOLE_KEY,
    By,
    Change,
    Filter,
    LedgerReader,
    LedgerStore,
    Place,
    Retention,
    Total,
)
from claude_proxy.wire.usage import Usage
from tests.ledger import made_records
from tests.ledger.made_records import NOON, begun, conversation, record, with_bodies

ALL = Filter()
FOREVER = Retention(0, 0)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_read(of: ExchangeRecord) -> ExchangeRecord:
    """Without what its ledger adds, or keeps for the conversation alone."""
    return replace(of, number=0, first_message=None)


class LedgerContract:
    """A subclass gives the fixture `store`: an empty one."""

    @pytest.fixture
    def store(self) -> Iterator[LedgerStore]:
        raise NotImplementedError

    @pytest.fixture
    def reader(self, store: LedgerStore) -> Iterator[LedgerReader]:
        reader = store.reader()
        yield reader
        reader.close()

    # --- records -----------------------------------------------------------------------------------------

    def test_an_empty_ledger_has_nothing(self, reader: LedgerReader) -> None:
        assert reader.records(ALL, 10) == []
        assert (reader.count(ALL), reader.record("req_cp_1"), reader.bodies("req_cp_1")) == (0, None, None)
        assert reader.totals(ALL) == [Total()]
        assert reader.totals(ALL, [By.MODEL]) == []
        assert reader.conversations(ALL, 10) == []
        assert reader.condition().records == 0

    def test_a_record_begins_and_is_completed(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(begun())])
        (first,) = reader.records(ALL, 10)
        assert as_read(first) == as_read(begun())
        assert reader.condition().unfinished == 1
        store.write([Change(record())])
        (then,) = reader.records(ALL, 10)
        assert as_read(then) == as_read(record())
        assert then.number == first.number
        assert (reader.condition().unfinished, reader.condition().records) == (0, 1)

    def test_an_exchange_ends_once(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record()), Change(record())])
        store.write([Change(begun()), Change(record(end="broken"))])
        assert [found.end for found in reader.records(ALL, 10)] == ["complete"]
        assert reader.totals(ALL)[0].requests == 1

    @QUICK
    @given(made=made_records.records)
    def test_a_record_comes_back_as_it_was(self, store: LedgerStore, made: ExchangeRecord) -> None:
        store.clear()
        store.write([Change(made)])
        reader = store.reader()
        found = reader.record(made.id)
        reader.close()
        assert found is not None
        assert as_read(found) == as_read(made)

    def test_nothing_of_what_fails_is_written(self, store: LedgerStore, reader: LedgerReader) -> None:
        impossible = Change(record(2, status=object()))
        with pytest.raises(Exception):  # noqa: B017 - of whatever kind; what matters is what is there then
            store.write([Change(record(1)), impossible, Change(record(3))])
        assert reader.count(ALL) == 0
        store.write([Change(record(1))])
        assert reader.count(ALL) == 1

    # --- lists -------------------------------------------------------------------------------------------

    def test_a_list_goes_on_behind_a_place_and_tells_each_record_once(
        self, store: LedgerStore, reader: LedgerReader
    ) -> None:
        # Three at each time, so that places of one time are told apart.
        store.write([Change(record(number, accepted=NOON + number // 3)) for number in range(20)])
        for oldest_first in (False, True):
            seen: list[ExchangeRecord] = []
            after = None
            while page := reader.records(ALL, 7, after=after, oldest_first=oldest_first):
                seen += page
                after = Place(page[-1].accepted, page[-1].number)
            places = [(found.accepted, found.number) for found in seen]
            assert places == sorted(places, reverse=not oldest_first)
            assert len({found.id for found in seen}) == len(seen) == 20
            assert reader.records(ALL, 5, offset=3, oldest_first=oldest_first) == seen[3:8]

    @pytest.mark.parametrize(
        ("where", "numbers"),
        [
            (Filter(since=NOON + 3), {3, 4, 5}),
            (Filter(until=NOON + 3), {0, 1, 2}),
            (Filter(model="asked"), {0, 1}),
            (Filter(model="routed"), {1, 2}),
            (Filter(upstream="minimax"), {3}),
            (Filter(endpoint="/v1/other"), {4}),
            (Filter(session="s"), {5}),
            (Filter(conversation="c"), {5}),
            (Filter(project="/p"), {2}),
            (Filter(organization="o"), {2}),
            (Filter(agents=True), {4}),
            (Filter(agents=False, since=NOON + 3), {3, 5}),
            (Filter(end="broken"), {1}),
            (Filter(model="routed", since=NOON + 2), {2}),
        ],
    )
    def test_a_filter_finds_what_it_means(
        self, store: LedgerStore, reader: LedgerReader, where: Filter, numbers: set[int]
    ) -> None:
        made = [
            record(0, asked_model="asked"),
            record(1, asked_model="asked", model="routed", end="broken"),
            record(2, model="routed", project="/p", organization="o"),
            record(3, upstream="minimax"),
            record(4, endpoint="/v1/other", agent="a"),
            record(5, session="s", conversation="c"),
        ]
        store.write([Change(one) for one in made])
        found = {int(one.accepted - NOON) for one in reader.records(where, 10)}
        assert found == numbers
        assert reader.count(where) == len(numbers)

    def test_a_record_is_found_by_the_beginning_of_its_id(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record(id=name)) for name in ("req_cp_ab", "req_cp_abc", "req_cp_b")])
        found = [reader.record(name) for name in ("req_cp_b", "req_cp_ab", "req_cp_abc", "req_cp_a", "", "x")]
        assert [one.id if one else None for one in found] == ["req_cp_b", "req_cp_ab", "req_cp_abc", None, None, None]

    # --- bodies ------------------------------------------------------------------------------------------

    @QUICK
    @given(request=made_records.bodies, answer=made_records.bodies)
    def test_any_body_comes_back_byte_for_byte(self, store: LedgerStore, request: bytes, answer: bytes) -> None:
        store.clear()
        change = with_bodies(1, request, answer)
        store.write([change])
        reader = store.reader()
        assert reader.bodies(change.record.id) == change.bodies
        reader.close()

    def test_bodies_may_come_one_after_the_other(self, store: LedgerStore, reader: LedgerReader) -> None:
        headers = (("X-Stainless-Lang", "js"), ("X-Stainless-Lang", "js"))
        store.write([Change(begun(kept=Kept.WHOLE), Bodies(headers, b"{}"))])
        assert reader.bodies(record().id) == Bodies(headers, b"{}")
        store.write([Change(record(kept=Kept.CUT), Bodies(answer_headers=headers, answer=b"event: ping\n\n"))])
        assert reader.bodies(record().id) == Bodies(headers, b"{}", headers, b"event: ping\n\n")
        assert reader.records(ALL, 1)[0].kept is Kept.CUT

    def test_a_record_without_bodies_has_none(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record())])
        assert reader.bodies(record().id) == Bodies()

    def test_a_conversation_is_stored_once(self, store: LedgerStore, reader: LedgerReader) -> None:
        for turn in range(1, 40):
            store.write([with_bodies(turn, conversation(turn))])
        assert reader.condition().blocks == 39 + 1  # messages, and a system prompt
        for turn in range(1, 40):
            found = reader.bodies(record(turn).id)
            assert found is not None
            assert found.request == conversation(turn)

    def test_a_secret_is_in_no_body_and_the_record_says_so(self, store: LedgerStore, reader: LedgerReader) -> None:
        secret = 'FAKE-se"cret/1'
        held = conversation(3, secret), secret.encode(), conversation(4, "nothing of the kind " * 5)
        for number, request in enumerate(held):
            store.write([replace(with_bodies(number, request), secrets=frozenset({secret}))])
        again = replace(with_bodies(5, conversation(3, secret)), secrets=frozenset({secret}))
        in_the_answer = replace(with_bodies(6, b"{}", secret.encode()), secrets=frozenset({secret}))
        store.write([again, in_the_answer])
        altered = {int(found.accepted - NOON): found.altered for found in reader.records(ALL, 10)}
        assert altered == {0: True, 1: True, 2: False, 5: True, 6: True}
        for found in reader.records(ALL, 10):
            stored = reader.bodies(found.id)
            assert stored is not None
            assert b"FAKE" not in msgspec.json.encode(stored)

    # --- totals ------------------------------------------------------------------------------------------

    def test_totals_are_the_sums_of_what_has_ended(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record(number)) for number in range(4)])
        store.write([Change(begun(5)), Change(record(6, end="broken", usage=Usage(), unpriced_tokens=7))])
        assert reader.totals(ALL) == [
            Total(
                requests=5,
                failures=1,
                total_ms=7500,
                input_tokens=40,
                output_tokens=80,
                cache_creation_input_tokens=1200,
                cache_read_input_tokens=16000,
                cache_creation_5m_input_tokens=400,
                cache_creation_1h_input_tokens=800,
                list_value=25_000_000,
                covered=25_000_000,
                unpriced_tokens=7,
                unpriced_requests=1,
            )
        ]

    def test_totals_are_given_by_what_is_asked_for(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write(
            [
                Change(record(1, model="a", agent="x")),
                Change(record(2, model="b", project=None, conversation=None)),
                Change(record(3, model="a", accepted=NOON + BUCKET)),
            ]
        )
        by_model = reader.totals(ALL, [By.MODEL])
        assert [(total.key, total.requests) for total in by_model] == [(("a",), 2), (("b",), 1)]
        keys = [total.key for total in reader.totals(ALL, [By.BUCKET, By.AGENT, By.PROJECT])]
        work = "/home/someone/work"
        assert keys == [(NOON, 0, None), (NOON, 1, work), (NOON + BUCKET, 0, work)]

    def test_times_of_totals_count_in_whole_buckets(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record(n, accepted=NOON + n * BUCKET + 10)) for n in range(4)])

        def buckets(since: float | None, until: float | None) -> list[int | str | None]:
            totals = reader.totals(Filter(since=since, until=until), [By.BUCKET])
            return [(int(total.key[0] or 0) - int(NOON)) // BUCKET for total in totals]

        assert buckets(NOON + BUCKET, NOON + 3 * BUCKET) == [1, 2]
        assert buckets(NOON + BUCKET + 1, NOON + 3 * BUCKET + 1) == [1, 2, 3]
        assert buckets(NOON + BUCKET - 1, None) == [0, 1, 2, 3]

    @pytest.mark.parametrize(
        ("where", "requests"),
        [
            (Filter(model="a"), 2),
            (Filter(upstream="minimax"), 1),
            (Filter(agents=True), 1),
            (Filter(agents=False), 2),
            (Filter(project="/p"), 1),
            (Filter(conversation="c"), 1),
        ],
    )
    def test_totals_are_of_what_the_filter_means(
        self, store: LedgerStore, reader: LedgerReader, where: Filter, requests: int
    ) -> None:
        store.write(
            [
                Change(record(1, asked_model="a", agent="x")),
                Change(record(2, model="a", project="/p")),
                Change(record(3, upstream="minimax", conversation="c")),
            ]
        )
        assert reader.totals(where)[0].requests == requests

    # --- conversations -----------------------------------------------------------------------------------

    def test_a_conversation_is_told_of_its_exchanges(self, store: LedgerStore, reader: LedgerReader) -> None:
        title = begun(1, background="title", first_message=None, project=None, asked_model="small")
        store.write([Change(title), Change(begun(2)), Change(begun(3, agent="a", asked_model="other"))])
        store.write([Change(record(4, conversation="later", session=None, first_message=None, project=None))])
        later, first = reader.conversations(ALL, 10)
        session = record().session
        assert (later.id, later.session, later.requests, later.first_message) == ("later", None, 1, None)
        assert (first.id, first.session, first.requests) == (session, session, 3)
        assert (first.began, first.last) == (NOON + 1, NOON + 3)
        assert (first.first_message, first.project, first.model) == ("say hi", "/home/someone/work", "claude-opus-4-8")
        assert reader.conversations(ALL, 1, after=Place(later.last, later.number)) == [first]
        assert reader.conversations(Filter(project="/home/someone/work"), 10) == [first]
        assert reader.conversations(Filter(since=NOON + 4), 10) == [later]

    def test_what_names_no_project_has_that_of_its_conversation(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(begun(1)), Change(record(2, project=None))])
        assert [found.project for found in reader.records(ALL, 10)] == ["/home/someone/work"] * 2
        assert [total.key for total in reader.totals(ALL, [By.PROJECT])] == [("/home/someone/work",)]

    # --- what is let go ----------------------------------------------------------------------------------

    def test_nothing_is_let_go_before_its_time(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([with_bodies(number, conversation(number)) for number in range(1, 5)])
        assert not store.prune(FOREVER, NOON + 1e9)
        assert not store.prune(Retention(1000, 0), NOON + 999)
        assert not store.prune(Retention(0, 1 << 30), NOON)
        assert reader.count(ALL) == 4

    def test_old_records_go_and_their_sums_stay(self, store: LedgerStore, reader: LedgerReader) -> None:
        day = 24 * 3600
        for number in range(1, 6):
            store.write([with_bodies(number, conversation(number), accepted=NOON + number * day, conversation="c")])
        before = reader.totals(ALL, WHOLE_KEY)
        while store.prune(Retention(3 * day, 0), NOON + 6.5 * day):
            pass
        assert [found.accepted for found in reader.records(ALL, 10)] == [NOON + 5 * day, NOON + 4 * day]
        assert reader.totals(ALL, WHOLE_KEY) == before
        assert reader.conversations(ALL, 10)[0].requests == 2
        assert reader.condition().blocks == 5 + 1
        while store.prune(Retention(day, 0), NOON + 100 * day):
            pass
        assert (reader.count(ALL), reader.condition().blocks, reader.conversations(ALL, 10)) == (0, 0, [])
        assert reader.totals(ALL, WHOLE_KEY) == before

    def test_a_large_ledger_loses_its_oldest_bodies_first(self, store: LedgerStore, reader: LedgerReader) -> None:
        day = 24 * 3600
        for number in range(1, 9):
            text = "".join(f"{number * 7919 * k % 1_000_003:x}" for k in range(9000))
            body = conversation(3, text)
            store.write([with_bodies(number, body, accepted=NOON + number * day)])
        limit = reader.condition().used // 2
        while store.prune(Retention(0, limit), NOON):
            pass
        assert reader.condition().used <= limit
        found = reader.records(ALL, 10)
        assert len(found) == 8
        kept = [one.kept for one in found]
        assert kept[0] is Kept.WHOLE
        assert kept[-1] is Kept.PRUNED
        assert kept == sorted(kept, key=lambda one: one is Kept.PRUNED)
        oldest, newest = reader.bodies(found[-1].id), reader.bodies(found[0].id)
        assert oldest == Bodies()
        assert newest is not None
        assert newest.request is not None
        while store.prune(Retention(0, 1), NOON):
            pass
        assert reader.count(ALL) == 0
        assert reader.totals(ALL)[0].requests == 8

    def test_everything_can_be_forgotten(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([with_bodies(number, conversation(number)) for number in range(1, 5)])
        assert store.clear() == 4
        condition = reader.condition()
        assert (condition.records, condition.blocks, reader.conversations(ALL, 1)) == (0, 0, [])
        assert reader.totals(ALL) == [Total()]

    # --- totals of another ledger ------------------------------------------------------------------------

    def test_totals_of_another_ledger_are_added_once(self, store: LedgerStore, reader: LedgerReader) -> None:
        store.write([Change(record())])
        key = (int(NOON), "m", "m", "u", None, None, None, None, 1, "/v1/messages")
        others = [Total(key, requests=3, input_tokens=9)]
        assert store.add_totals(others) == 1
        assert store.add_totals(others) == 0
        assert [(total.key, total.requests) for total in reader.totals(ALL, [By.MODEL])] == [
            (("claude-opus-4-8",), 1),
            (("m",), 3),
        ]
        assert others[0] in reader.totals(ALL, WHOLE_KEY)

    # --- beside others -----------------------------------------------------------------------------------

    def test_what_is_written_while_somebody_reads_is_seen_by_the_next_question(
        self, store: LedgerStore, reader: LedgerReader
    ) -> None:
        for number in range(1, 4):
            store.write([Change(record(number))])
            assert reader.count(ALL) == number
