"""Every fault in every cell: one whole answer or one error, and the page that says so is true."""

import os
from pathlib import Path

import pytest

from tests.paths.fault_matrix import DOCUMENT, FAULTS, Cell, Observed, cells, document, documented, observe
from tests.paths.faults import Fault
from tests.paths.two_upstreams import assert_answer_of_the_second

TRIES = 3  # of the only target: two retries are allowed

CELLS = cells()
IDS = [f"{name}-{'stream' if stream else 'whole'}-{'two' if two else 'one'}" for name, stream, two in CELLS]

Observations = dict[tuple[str, bool, bool], Cell]


@pytest.fixture(scope="module")
def observations() -> Observations:
    """All cells that this run has observed."""
    return {}


@pytest.mark.parametrize(("name", "stream", "two"), CELLS, ids=IDS)
async def test_a_fault_has_the_outcome_that_is_promised_and_documented(
    name: str, stream: bool, two: bool, tmp_path: Path, observations: Observations
) -> None:
    fault = FAULTS[name]
    observed = await observe(tmp_path, name, stream=stream, two=two)
    observations[name, stream, two] = observed.cell
    assert_as_promised(fault, observed, stream=stream, two=two)
    if not os.environ.get("UPDATE_DOCS"):
        assert observed.cell.row(name) == documented(DOCUMENT.read_text())[name, stream, two]


def assert_as_promised(fault: Fault, observed: Observed, *, stream: bool, two: bool) -> None:
    answer, (first, second) = observed.answer, observed.asked
    assert second == (1 if two and fault.elsewhere else 0)
    assert first == (1 if not fault.again else 2 if two else TRIES)
    if answer is None:
        assert fault.endless
        return
    if two and fault.elsewhere:
        assert_answer_of_the_second(answer, stream=stream)
    elif fault.said is not None:
        assert (answer.status, answer.body) == (fault.status, fault.said)
    else:
        assert answer.status in ({fault.status} if fault.status else {502, 504})
    if answer.status >= 400 and fault.said is None:
        error = answer.json()
        assert error["type"] == "error"
        assert error["error"]["type"]
        assert error["error"]["message"]
        assert answer.header("x-claude-proxy-error")
    # That it is one whole answer or one error, the connection and the observation of the cell have made sure.


def test_the_page_has_these_cells_and_no_other_words(observations: Observations) -> None:
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document(observations))
    text = DOCUMENT.read_text()
    rows = documented(text)
    assert list(rows) == CELLS
    parsed = {cell: Cell(*[part.strip() for part in row.strip("|").split("|")][1:]) for cell, row in rows.items()}
    assert document(parsed) == text
