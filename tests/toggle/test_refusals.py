"""Each refusal has the exit code that says of which kind it is."""

import pytest

from claude_proxy.toggle.refusals import (
    AddressUnknown,
    FileRefused,
    InvalidText,
    NotAnswering,
    OtherGateway,
    ToggleRefused,
)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [(FileRefused, 1), (InvalidText, 1), (OtherGateway, 1), (NotAnswering, 3), (AddressUnknown, 78)],
)
def test_the_exit_code_says_of_which_kind_it_is(refusal: type[ToggleRefused], code: int) -> None:
    assert issubclass(refusal, ToggleRefused)
    assert refusal.exit_code == code
