"""When a thread that works beside the event loop lets others go first, by a clock of the test's."""

import pytest

from claude_proxy.observers.breath import Breath


class Time:
    """A clock that goes on by what is slept, and by what others are given."""

    def __init__(self) -> None:
        self.now = 1.0
        self.slept: list[float] = []
        self.given: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def give(self, seconds: float) -> None:
        self.given.append(seconds)
        self.now += seconds

    def breath(self) -> Breath:
        return Breath(self.give, lambda: self.now, self.sleep)


def test_a_breath_is_taken_when_a_slice_is_over_and_not_before() -> None:
    time = Time()
    breathe = time.breath()
    for later, breaths in ((0.0, 1), (0.0001, 1), (0.0001, 1), (0.0002, 2), (0.0001, 2)):
        time.now += later
        breathe()
        assert len(time.slept) == len(time.given) == breaths
    assert all(0 < moment < 0.001 for moment in time.slept)


def test_others_are_given_some_milliseconds_and_then_the_slice_begins() -> None:
    time = Time()
    breathe = time.breath()
    breathe()
    assert time.given == [pytest.approx(0.005, rel=0.9)]
    breathe()
    assert len(time.given) == 1, "the slice has only begun"
