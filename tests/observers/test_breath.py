"""When a thread that works beside the event loop lets others go first, by a clock of the test's."""

from claude_proxy.observers.breath import Breath


class Time:
    """A clock that goes on by what is slept."""

    def __init__(self) -> None:
        self.now = 1.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def breath(self, *others_first: bool) -> Breath:
        """Others want to go first as often as said here; the last word holds from then on."""
        said = list(others_first)
        return Breath(lambda: said.pop(0) if len(said) > 1 else said[0], lambda: self.now, self.sleep)


def test_a_breath_is_taken_when_a_slice_is_over_and_not_before() -> None:
    time = Time()
    breathe = time.breath(False)
    for later, breaths in ((0.0, 1), (0.0001, 1), (0.0001, 1), (0.0002, 2), (0.0001, 2)):
        time.now += later
        breathe()
        assert len(time.slept) == breaths
    assert all(0 < moment < 0.001 for moment in time.slept)


def test_no_slice_begins_while_others_go_first() -> None:
    time = Time()
    breathe = time.breath(True, True, True, False)
    breathe()
    assert len(time.slept) == 4
    breathe()
    assert len(time.slept) == 4, "the slice has only begun"


def test_beside_others_who_never_rest_a_slice_is_due_all_the_same() -> None:
    time = Time()
    breathe = time.breath(True)
    for _ in range(3):
        before = time.now
        breathe()
        assert 0.001 < time.now - before < 0.01
        time.now += 0.001
