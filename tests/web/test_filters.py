"""Which exchanges are meant, and which page: a cursor names its place exactly."""

from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.ledger.store import Filter, Place
from claude_proxy.web.filters import PAGE, WHICH, Page, cursor, page, which
from claude_proxy.web.parameters import Parameters


def parameters(query: str) -> Parameters:
    return Parameters(make_mocked_request("GET", f"/api/requests?{query}"), (*WHICH, *PAGE))


@settings(deadline=None)
@given(st.floats(1e9, 1e11), st.integers(0, 10**17))
def test_a_cursor_names_its_place_exactly(accepted: float, number: int) -> None:
    place = Place(accepted, number)
    assert page(parameters(f"cursor={cursor(place)}")).after == place


def test_a_page_is_behind_those_before_it() -> None:
    assert page(parameters("")) == Page(1, 50, None)
    assert page(parameters("page=3&limit=20")).offset == 40
    assert page(parameters("page=3&cursor=1.5_2")).offset == 0


def test_without_parameters_all_are_meant() -> None:
    assert which(parameters("")) == Filter()
    assert which(parameters("model=all&agent=&end=")) == Filter()


def test_each_parameter_means_its_own() -> None:
    text = "model=a&upstream=b&endpoint=/c&session=d&conversation=e&project=/f&organization=g&agent=sub&outcome=failed"
    expected = Filter(
        model="a",
        upstream="b",
        endpoint="/c",
        session="d",
        conversation="e",
        project="/f",
        organization="g",
        agents=True,
        end="failed",
    )
    assert which(parameters(text)) == expected
    assert which(parameters("agent=main")).agents is False
    assert which(parameters("session=d")) == Filter(session="d", conversation="d")
