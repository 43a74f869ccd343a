"""Which upstreams answer a request: the first route that matches, and what only Anthropic can answer."""

from typing import Any

import pytest

from claude_proxy.upstreams.route import Match, Route, RouteTable, Target
from claude_proxy.wire.messages import Background, ClientRequest
from tests.client_requests import count_request, message_request
from tests.upstreams.made_upstreams import made_upstream

CLAUDE, GATEWAY = made_upstream("claude"), made_upstream("gateway")
MINIMAX, KIMI = made_upstream("minimax", native=False), made_upstream("kimi", native=False)
TO_CLAUDE, TO_GATEWAY = Target(CLAUDE), Target(GATEWAY, "claude-renamed")
TO_MINIMAX, TO_KIMI = Target(MINIMAX, "MiniMax-M2.5"), Target(KIMI)

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
OUR_TOOL = {"name": "Bash", "input_schema": {"type": "object"}}
PROBE: dict[str, Any] = {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}
TITLE: dict[str, Any] = {"output_config": {"format": {"schema": {"properties": {"title": {}}}}}}
SUBAGENT = ("x-claude-code-agent-id", "a1b2")


def table(*routes: Route) -> RouteTable:
    upstreams = {upstream.name: upstream for upstream in (MINIMAX, KIMI, CLAUDE, GATEWAY)}
    return RouteTable(routes, upstreams, frozenset())


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.upstream.name for target in targets]


# --- matching --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "model", "expected"),
    [
        ("claude-haiku-*", "claude-haiku-4-5-20251001", True),
        ("claude-haiku-*", "CLAUDE-Haiku-4-5", True),
        ("CLAUDE-HAIKU-*", "claude-haiku-4-5", True),
        ("claude-haiku-*", "claude-sonnet-4-5", False),
        ("claude-haiku-*", "my-claude-haiku-4-5", False),
        ("claude-haiku", "claude-haiku-4-5", False),
        ("*haiku*", "us.anthropic.claude-haiku-4-5", True),
        ("claude-?pus-4", "claude-opus-4", True),
        ("claude-[so]*", "claude-opus-4", True),
        ("claude-[so]*", "claude-haiku-4", False),
        (None, "anything", True),
    ],
)
def test_a_model_matches_by_glob_in_upper_and_lower_case_alike(pattern: str | None, model: str, expected: bool) -> None:
    assert Match(model=pattern).matches(message_request(model=model)) is expected


@pytest.mark.parametrize(
    ("agent", "request_of", "expected"),
    [
        ("main", message_request(), True),
        ("main", message_request(SUBAGENT), False),
        ("sub", message_request(SUBAGENT), True),
        ("sub", message_request(), False),
        (None, message_request(), True),
        (None, message_request(SUBAGENT), True),
    ],
)
def test_the_conversation_is_told_from_its_subagents(
    agent: str | None, request_of: ClientRequest, expected: bool
) -> None:
    assert Match(agent=agent).matches(request_of) is expected


@pytest.mark.parametrize(
    ("background", "request_of", "expected"),
    [
        (Background.TITLE, message_request(**TITLE), True),
        (Background.TITLE, message_request(), False),
        (Background.QUOTA_PROBE, message_request(**PROBE), True),
        (Background.QUOTA_PROBE, message_request(**TITLE), False),
        (Background.WEB_SEARCH, message_request(tools=[SEARCH]), True),
        (None, message_request(**TITLE), True),
    ],
)
def test_background_requests_are_told_from_the_users_own(
    background: Background | None, request_of: ClientRequest, expected: bool
) -> None:
    assert Match(background=background).matches(request_of) is expected


def test_all_that_a_route_asks_must_be_so() -> None:
    match = Match("claude-haiku-*", "sub", Background.TITLE)
    assert match.matches(message_request(SUBAGENT, model="claude-haiku-4-5", **TITLE))
    assert not match.matches(message_request(model="claude-haiku-4-5", **TITLE))
    assert not match.matches(message_request(SUBAGENT, model="claude-opus-4", **TITLE))
    assert not match.matches(message_request(SUBAGENT, model="claude-haiku-4-5"))


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (Match(), "everything"),
        (Match("claude-*"), "model claude-*"),
        (Match("claude-*", "sub", Background.TITLE), "model claude-*, agent sub, background title"),
    ],
)
def test_a_match_says_in_words_what_it_asks(match: Match, words: str) -> None:
    assert str(match) == words


# --- deciding --------------------------------------------------------------------------------------------


def test_the_first_route_that_matches_is_taken_with_its_targets_in_order() -> None:
    routes = table(
        Route(Match("claude-haiku-*"), (TO_MINIMAX, TO_CLAUDE)),
        Route(Match("claude-*"), (TO_KIMI,)),
        Route(Match(), (TO_GATEWAY,)),
    )
    haiku = routes.decide(message_request(model="claude-haiku-4-5"))
    assert haiku.targets == (TO_MINIMAX, TO_CLAUDE)
    assert (haiku.route, haiku.reason) == ("model claude-haiku-*", "matches model claude-haiku-*")
    assert routes.decide(message_request(model="claude-opus-4")).targets == (TO_KIMI,)
    assert routes.decide(message_request(model="gpt-5")).targets == (TO_GATEWAY,)


def test_a_count_of_tokens_goes_where_its_message_would_go() -> None:
    routes = table(Route(Match("claude-haiku-*"), (TO_MINIMAX,)), Route(Match(), (TO_CLAUDE,)))
    assert routes.decide(count_request(model="claude-haiku-4-5")).targets == (TO_MINIMAX,)


# --- what only Anthropic can answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_of", "needed"),
    [
        (message_request(**PROBE), "a quota probe"),
        (message_request(tools=[SEARCH]), "the server tool web_search_20250305"),
        (
            message_request(tools=[OUR_TOOL, {"type": "code_execution_20250825", "name": "c"}]),
            "code_execution_20250825",
        ),
        (count_request(tools=[SEARCH]), "the server tool web_search_20250305"),
    ],
    ids=["a quota probe", "web search", "a server tool among the client's own", "counting with a server tool"],
)
def test_what_only_anthropic_can_answer_goes_to_it_whatever_the_routes_say(
    request_of: ClientRequest, needed: str
) -> None:
    routes = table(Route(Match("claude-*"), (TO_MINIMAX, TO_KIMI)), Route(Match(), (TO_CLAUDE,)))
    decision = routes.decide(request_of)
    assert decision.targets == (TO_CLAUDE,)
    assert needed in decision.reason
    assert "only Anthropic can answer" in decision.reason
    assert decision.route == "model claude-*"


def test_the_tools_that_the_client_runs_itself_stay_on_their_route() -> None:
    routes = table(Route(Match("claude-*"), (TO_MINIMAX,)), Route(Match(), (TO_CLAUDE,)))
    assert routes.decide(message_request(tools=[OUR_TOOL])).targets == (TO_MINIMAX,)


def test_the_anthropic_targets_of_its_own_route_are_preferred_and_keep_their_order() -> None:
    routes = table(Route(Match("claude-*"), (TO_MINIMAX, TO_GATEWAY, TO_KIMI, TO_CLAUDE)), Route(Match(), (TO_CLAUDE,)))
    assert routes.decide(message_request(**PROBE)).targets == (TO_GATEWAY, TO_CLAUDE)


def test_where_its_own_route_has_none_the_anthropic_targets_of_the_last_route_are_taken() -> None:
    routes = table(Route(Match("claude-*"), (TO_MINIMAX,)), Route(Match(), (TO_KIMI, TO_GATEWAY)))
    assert routes.decide(message_request(**PROBE)).targets == (TO_GATEWAY,)


def test_an_anthropic_upstream_that_no_route_names_serves_as_well() -> None:
    routes = table(Route(Match("claude-*"), (TO_MINIMAX,)), Route(Match(), (TO_KIMI,)))
    assert names(routes.decide(message_request(**PROBE)).targets) == ["claude"]


def test_without_any_anthropic_upstream_the_route_is_kept_and_the_reason_says_so() -> None:
    routes = RouteTable([Route(Match(), (TO_KIMI,))], {"kimi": KIMI}, frozenset())
    decision = routes.decide(message_request(**PROBE))
    assert decision.targets == (TO_KIMI,)
    assert decision.reason == "matches everything; no Anthropic upstream for a quota probe"


# --- requests that name no model -------------------------------------------------------------------------


def test_a_request_without_a_model_goes_to_the_anthropic_targets_of_the_last_route() -> None:
    routes = table(Route(Match("claude-*"), (TO_GATEWAY,)), Route(Match(), (TO_MINIMAX, TO_CLAUDE, TO_GATEWAY)))
    assert routes.default_native() == (TO_CLAUDE, TO_GATEWAY)


def test_a_request_without_a_model_never_goes_to_a_stranger() -> None:
    assert RouteTable([Route(Match(), (TO_KIMI,))], {"kimi": KIMI}, frozenset()).default_native() == ()
    assert names(table(Route(Match(), (TO_KIMI,))).default_native()) == ["claude"]
