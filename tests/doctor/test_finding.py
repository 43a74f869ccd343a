"""Which mark stands for several."""

import pytest

from claude_proxy.doctor.finding import Mark, gravest


@pytest.mark.parametrize(
    ("marks", "one"),
    [
        ([], Mark.SKIP),
        ([Mark.SKIP, Mark.OK], Mark.OK),
        ([Mark.OK, Mark.WARN, Mark.SKIP], Mark.WARN),
        ([Mark.FAIL, Mark.WARN], Mark.FAIL),
    ],
)
def test_the_gravest_stands_for_all(marks: list[Mark], one: Mark) -> None:
    assert gravest(marks) is one
