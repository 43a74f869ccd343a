"""The server tools of a request, told apart from those of the requests before."""

from tests.client_requests import message_request


def test_the_server_tools_of_one_request_are_not_taken_for_anothers() -> None:
    later: list[dict[str, object]] = [{"type": "web_search_20260101", "name": "web_search"}]
    search: list[dict[str, object]] = [{"type": "web_search_20250305", "name": "web_search"}]
    tools: tuple[list[dict[str, object]], ...] = (
        [],
        search,
        later,
        [{"type": "custom", "name": "own"}],
        search,
        [*search, {"type": "web_fetch_20250910"}],
    )
    for each in (*tools, *reversed(tools)):
        expected = tuple(str(tool["type"]) for tool in each if str(tool["type"]).startswith("web_"))
        assert message_request(tools=each).server_tools == expected
