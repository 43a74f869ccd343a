"""Several observers as one: a fault of one reaches neither the exchange nor the others."""

import logging

import pytest

from claude_proxy.exchange import Attempt, Exchange, Observer
from claude_proxy.failures import Failure
from claude_proxy.logline import KeyValueFormatter, Redactor
from claude_proxy.observers.chain import ObserverChain
from tests.observers.closed_exchanges import REFUSED, attempt, exchange


class Remembering:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def began(self, exchange: Exchange) -> None:
        self.told += ["began", exchange]

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        self.told += [exchange, upstream, failure]

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        self.told += ["quota", exchange, attempt]

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        self.told += [exchange, attempt]

    def closed(self, exchange: Exchange) -> None:
        self.told += [exchange]


class Faulty:
    """Fails at whatever it is told."""

    def began(self, exchange: Exchange) -> None:
        raise KeyError(exchange.route)

    def skipped(self, exchange: Exchange, upstream: str, failure: Failure) -> None:
        raise KeyError(upstream)

    def quota_read(self, exchange: Exchange, attempt: Attempt) -> None:
        raise KeyError(attempt.upstream)

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        raise KeyError(attempt.upstream)

    def closed(self, exchange: Exchange) -> None:
        raise KeyError(exchange.upstream)


def test_every_observer_is_told_everything() -> None:
    first, second = Remembering(), Remembering()
    chain = ObserverChain([first, second])
    one, tried = exchange(), attempt(failure=REFUSED)
    chain.began(one)
    chain.skipped(one, "minimax", REFUSED)
    chain.quota_read(one, tried)
    chain.attempt_failed(one, tried)
    chain.closed(one)
    assert first.told == second.told == ["began", one, one, "minimax", REFUSED, "quota", one, tried, one, tried, one]


def test_a_fault_of_one_observer_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    before, after = Remembering(), Remembering()
    chain = ObserverChain([before, Faulty(), after])
    one = exchange()
    with caplog.at_level(logging.ERROR):
        chain.began(one)
        chain.skipped(one, "minimax", REFUSED)
        chain.quota_read(one, attempt())
        chain.attempt_failed(one, attempt(failure=REFUSED))
        chain.closed(one)
    assert len(before.told) == len(after.told) == 11
    assert [record.getMessage() for record in caplog.records] == ["observer_failed"] * 5
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_what_a_faulty_observer_had_in_its_hands_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    class Undecodable(Faulty):
        def closed(self, exchange: Exchange) -> None:
            held = b"FAKE-secret \xff"
            held.decode()

    ObserverChain([Undecodable()]).closed(exchange())
    told = KeyValueFormatter(Redactor()).format(caplog.records[0])
    assert "event=observer_failed observer=Undecodable exception=" in told
    assert "UnicodeDecodeError" in told
    assert "test_chain.py" in told
    assert "FAKE-secret" not in told


def test_who_watches_the_end_alone_need_write_no_more_than_that() -> None:
    class Ends(Observer):
        ended = 0

        def closed(self, exchange: Exchange) -> None:
            self.ended += 1

    ends = Ends()
    for watching in (ends, ObserverChain([ends])):
        watching.began(exchange())
        watching.skipped(exchange(), "minimax", REFUSED)
        watching.quota_read(exchange(), attempt())
        watching.attempt_failed(exchange(), attempt(failure=REFUSED))
        watching.closed(exchange())
    assert ends.ended == 2


def test_a_chain_of_none_watches_nothing() -> None:
    ObserverChain([]).closed(exchange())
