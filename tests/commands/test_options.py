"""A faulty configuration is told whole, and the program ends with the code for it."""

import pytest

from claude_proxy.commands.options import CONFIG, told_if_faulty
from claude_proxy.config.tree import Complaint, ConfigurationError


def test_what_is_read_well_is_handed_on() -> None:
    assert told_if_faulty(lambda: 7) == 7


@pytest.mark.parametrize(("number", "last"), [(1, "1 fault in the"), (3, "3 faults in the")])
def test_every_fault_is_printed_and_counted(capsys: pytest.CaptureFixture[str], number: int, last: str) -> None:
    complaints = [Complaint(f"x.yaml:{line}:1", "a", "odd") for line in range(number)]

    def read() -> None:
        raise ConfigurationError(complaints)

    with pytest.raises(SystemExit) as ended:
        told_if_faulty(read)
    printed = capsys.readouterr()
    assert ended.value.code == CONFIG == 78
    assert printed.out == ""
    *lines, counted = printed.err.splitlines()
    assert lines == [str(complaint) for complaint in complaints]
    assert counted.startswith(last)
