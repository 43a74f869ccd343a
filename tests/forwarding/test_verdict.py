"""What the credential decides of an attempt: which one is used, whose refusal it was, what its words may say."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from claude_proxy.assembly import build_routes
from claude_proxy.config.load import load
from claude_proxy.failures import AttemptFailed, FailureKind
from claude_proxy.forwarding.verdict import credential_for
from claude_proxy.upstreams.breaker import BreakerState
from tests.claude_request import bearer_of, stored_login
from tests.client_requests import headers_of, message_request, other_request
from tests.forwarding.forwarding_house import (
    BRINGS_KEY,
    BRINGS_SENTINEL,
    CLIENT_KEY,
    MINIMAX_KEY,
    NOBODY,
    OUR_KEY,
    QUICK,
    Told,
    forwarding,
)
from tests.stand_in import Answer, Received, StandIn, Wire, fails, replies, says, two

LOGIN, RENEWED, RENEWED_AGAIN = (f"sk-ant-oat01-FAKE-{word}" for word in ("first", "second", "third"))
REFUSED = fails(401, "authentication_error", "invalid x-api-key")
NEEDS_OURS = message_request(BRINGS_SENTINEL)
WITH_OUR_KEY = {"OUR_KEY": OUR_KEY}
FROM_FILE = {"claude": ["client", "file"]}


def keys_of(upstream: StandIn) -> list[str | None]:
    return [received.header("x-api-key") for received in upstream.received]


def words_of(told: Told) -> str:
    assert told.failure is not None
    return told.failure.message


def login_file(home: Path) -> Callable[[str], None]:
    """Writes Claude Code's own file."""
    path = home / ".claude" / ".credentials.json"
    path.parent.mkdir()

    def write(token: str) -> None:
        path.write_text(stored_login(token))

    return write


# --- the client's own ------------------------------------------------------------------------------------


async def test_the_clients_own_login_goes_first_though_there_is_one_of_ours(tmp_path: Path) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY) as house:
        told = await house.ask(message_request(BRINGS_KEY))
    assert told.status == 200
    assert keys_of(claude) == [CLIENT_KEY]
    assert told.exchange.attempts[0].credential == "client"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_of_the_clients_own_login_is_handed_back_as_it_was_said(tmp_path: Path, status: int) -> None:
    answer = fails(status, "authentication_error", "OAuth token has expired")
    async with two(answer) as (claude, gateway):
        upstreams = {"claude": claude, "gateway": gateway}
        async with forwarding(tmp_path, upstreams, environment=WITH_OUR_KEY) as house:
            told = await house.ask(message_request(BRINGS_KEY))
            assert house.breaker("claude").state is BreakerState.CLOSED
        assert (len(claude.received), len(gateway.received)) == (1, 0)
    assert (told.kind, told.client_status) == (FailureKind.CLIENT_AUTH, status)
    assert told.failure is not None
    assert told.failure.said is not None
    assert b"OAuth token has expired" in told.failure.said.body


async def test_a_client_that_brings_nothing_hears_from_the_upstream_what_it_lacks(tmp_path: Path) -> None:
    async with StandIn(REFUSED) as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(message_request())
    assert (told.kind, told.client_status) == (FailureKind.CLIENT_AUTH, 401)
    assert len(claude.received) == 1
    assert told.exchange.attempts[0].credential == ""


# --- ours ------------------------------------------------------------------------------------------------


async def test_ours_serves_a_client_that_sends_a_placeholder(tmp_path: Path) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY) as house:
        told = await house.ask(NEEDS_OURS)
        assert house.learned == [OUR_KEY]
    assert told.exchange.attempts[0].credential == "env:OUR_KEY"
    assert keys_of(claude) == [OUR_KEY]


async def test_a_placeholder_without_anything_of_ours_is_told_where_was_looked(tmp_path: Path) -> None:
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}) as house:
        told = await house.ask(NEEDS_OURS)
        assert claude.received == []
        assert house.watcher.skips == [("claude", FailureKind.NO_CREDENTIAL)]
    assert (told.kind, told.client_status) == (FailureKind.NO_CREDENTIAL, 403)
    assert "looked in env:OUR_KEY and found none" in words_of(told)
    assert "run `claude` and log in" in words_of(told)
    assert told.exchange.attempts == []


async def test_a_placeholder_where_nothing_but_the_client_is_looked_to_is_told_so(tmp_path: Path) -> None:
    async with forwarding(tmp_path, {"claude": NOBODY}, sources={"claude": ["client"]}) as house:
        told = await house.ask(NEEDS_OURS)
    assert told.kind is FailureKind.NO_CREDENTIAL
    assert "looked in nowhere" in words_of(told)


async def test_a_stranger_without_a_key_is_told_where_to_put_one(tmp_path: Path) -> None:
    async with StandIn() as minimax:
        sources = {"minimax": ["env:NOT_SET"]}
        async with forwarding(tmp_path, {"minimax": minimax}, sources=sources) as house:
            told = await house.ask(message_request(BRINGS_KEY))
        assert minimax.received == []
    assert told.kind is FailureKind.NO_CREDENTIAL
    assert "set one in env:NOT_SET" in words_of(told)


async def test_a_strangers_key_is_sent_as_it_takes_it(tmp_path: Path) -> None:
    async with StandIn() as minimax, forwarding(tmp_path, {"minimax": minimax}) as house:
        await house.ask(message_request(BRINGS_KEY))
    assert bearer_of(minimax.received[0]) == MINIMAX_KEY


async def test_a_store_that_cannot_be_used_is_told_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text("no JSON")
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE) as house:
        told = await house.ask(NEEDS_OURS)
        assert claude.received == []
    assert told.kind is FailureKind.NO_CREDENTIAL
    assert "does not hold valid JSON" in words_of(told)


async def test_the_stored_login_serves_nobody_but_claude_code(tmp_path: Path) -> None:
    login_file(tmp_path)(LOGIN)
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE) as house:
        told = await house.ask(message_request(BRINGS_SENTINEL, headers=headers_of(user_agent="curl/8")))
        assert claude.received == []
        assert (await house.ask(NEEDS_OURS)).status == 200
    assert told.kind is FailureKind.NO_CREDENTIAL
    assert words_of(told).startswith("this request does not come from Claude Code")
    assert [bearer_of(received) for received in claude.received] == [LOGIN]


async def test_a_login_that_lies_where_a_strangers_key_should_is_never_sent_to_it(tmp_path: Path) -> None:
    mistaken = {"MINIMAX_API_KEY": LOGIN}
    async with StandIn() as minimax, forwarding(tmp_path, {"minimax": minimax}, environment=mistaken) as house:
        told = await house.ask(message_request(BRINGS_KEY))
        assert minimax.connections == 0
    assert (told.kind, told.client_status) == (FailureKind.NO_CREDENTIAL, 403)
    assert "is a Claude login, which is never sent to minimax" in words_of(told)


async def test_an_upstream_that_needs_no_credential_is_asked_without_one(tmp_path: Path) -> None:
    settings = {"kimi": {"credential": None}}
    async with StandIn() as kimi, forwarding(tmp_path, {"kimi": kimi}, of_upstreams=settings) as house:
        assert (await house.ask(message_request(BRINGS_KEY))).status == 200
    assert keys_of(kimi) == [None]
    assert kimi.received[0].header("authorization") is None


# --- ours, refused ---------------------------------------------------------------------------------------


async def test_a_dead_key_of_ours_is_never_a_401_and_opens_the_breaker(tmp_path: Path) -> None:
    async with StandIn(REFUSED) as claude, forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY) as house:
        told = await house.ask(NEEDS_OURS)
        assert house.breaker("claude").state is BreakerState.OPEN
        assert len(claude.received) == 1
    assert (told.kind, told.client_status) == (FailureKind.AUTH, 403)
    assert told.failure is not None
    assert told.failure.error_type == "permission_error"
    assert "claude refused the credential from env:OUR_KEY: invalid x-api-key" in words_of(told)


async def test_a_dead_key_of_ours_is_no_reason_not_to_ask_elsewhere(tmp_path: Path) -> None:
    async with two(REFUSED, says("from the second")) as (claude, minimax):
        upstreams = {"claude": claude, "minimax": minimax}
        async with forwarding(tmp_path, upstreams, environment=WITH_OUR_KEY) as house:
            told = await house.ask(NEEDS_OURS)
    assert told.json()["content"][0]["text"] == "from the second"


async def test_a_dead_key_for_a_stranger_is_a_403(tmp_path: Path) -> None:
    answer = replies(401, b'{"error":{"type":"authorized_error","message":"invalid api key"}}')
    async with StandIn(answer) as kimi, forwarding(tmp_path, {"kimi": kimi}) as house:
        told = await house.ask(message_request(BRINGS_KEY))
        assert house.breaker("kimi").state is BreakerState.OPEN
    assert (told.kind, told.client_status) == (FailureKind.AUTH, 403)
    assert words_of(told).count("refused") == 1


async def test_a_permission_that_ours_lacks_is_told_as_it_was_said(tmp_path: Path) -> None:
    answer = fails(403, "permission_error", "your organization may not use this model")
    async with StandIn(answer) as claude, forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY) as house:
        told = await house.ask(NEEDS_OURS)
    assert (told.kind, told.client_status) == (FailureKind.FORBIDDEN, 403)
    assert words_of(told) == "your organization may not use this model"


async def test_a_refusal_that_speaks_of_money_is_a_limit_and_asked_elsewhere(tmp_path: Path) -> None:
    answer = fails(403, "permission_error", "Your credit balance is too low")
    async with (
        two(answer, says("from the second")) as (claude, gateway),
        forwarding(tmp_path, {"claude": claude, "gateway": gateway}) as house,
    ):
        told = await house.ask(message_request(BRINGS_KEY))
        assert house.watcher.failed == [("claude", FailureKind.RATE_LIMIT)]
    assert told.status == 200


async def test_a_path_that_names_no_model_hears_of_a_dead_key_of_ours_as_well(tmp_path: Path) -> None:
    async with StandIn(REFUSED) as claude, forwarding(tmp_path, {"claude": claude}, environment=WITH_OUR_KEY) as house:
        ours = await house.ask(other_request("GET", "/v1/models", BRINGS_SENTINEL))
        theirs = await house.ask(other_request("GET", "/v1/models", BRINGS_KEY))
    assert (ours.kind, ours.client_status) == (FailureKind.AUTH, 403)
    assert (theirs.kind, theirs.client_status) == (None, 401)


@pytest.mark.parametrize(
    ("sources", "environment", "remedy"),
    [
        (["client", "env:OUR_KEY"], {"OUR_KEY": OUR_KEY}, "Check that key"),
        (["client", "file"], {}, "Run `claude` once"),
        (["client", "env:CLAUDE_CODE_OAUTH_TOKEN"], {"CLAUDE_CODE_OAUTH_TOKEN": LOGIN}, "claude setup-token"),
    ],
    ids=["a key", "the stored login", "a setup-token"],
)
async def test_the_remedy_goes_by_what_was_refused(
    tmp_path: Path, sources: list[str], environment: dict[str, str], remedy: str
) -> None:
    login_file(tmp_path)(LOGIN)
    async with StandIn(REFUSED) as claude:
        upstreams, named = {"claude": claude}, {"claude": sources}
        async with forwarding(tmp_path, upstreams, sources=named, environment=environment) as house:
            assert remedy in words_of(await house.ask(NEEDS_OURS))


# --- ours, renewed meanwhile -----------------------------------------------------------------------------


def renews(write: Callable[[str], None], token: str, then: Answer) -> Answer:
    """Another program stores a newer login while this answer is on its way."""

    async def answer(received: Received, wire: Wire) -> None:
        write(token)
        await then(received, wire)

    return answer


async def test_a_login_renewed_meanwhile_is_taken_and_the_request_tried_once_more_at_once(
    tmp_path: Path, waits: list[float]
) -> None:
    write = login_file(tmp_path)
    write(LOGIN)
    retry = {**QUICK, "first_wait": "9s", "max_elapsed": "0s", "max_retries": 0}
    async with (
        StandIn() as claude,
        forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE, retry=retry) as house,
    ):
        claude.then(renews(write, RENEWED, REFUSED))
        told = await house.ask(NEEDS_OURS)
        assert house.breaker("claude").state is BreakerState.CLOSED
        assert house.watcher.failed == [("claude", FailureKind.STALE_TOKEN)]
    assert told.status == 200
    assert [bearer_of(received) for received in claude.received] == [LOGIN, RENEWED]
    assert waits == [0.0]


async def test_a_second_stale_token_is_the_end(tmp_path: Path) -> None:
    write = login_file(tmp_path)
    write(LOGIN)
    async with StandIn() as claude, forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE) as house:
        claude.then(renews(write, RENEWED, REFUSED), renews(write, RENEWED_AGAIN, REFUSED))
        told = await house.ask(NEEDS_OURS)
    assert told.client_status == 403
    assert [bearer_of(received) for received in claude.received] == [LOGIN, RENEWED]


async def test_a_stale_token_takes_nothing_from_the_retries(tmp_path: Path) -> None:
    write = login_file(tmp_path)
    write(LOGIN)
    retry = {**QUICK, "max_retries": 1}
    async with (
        StandIn() as claude,
        forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE, retry=retry) as house,
    ):
        claude.then(renews(write, RENEWED, REFUSED), fails(529, "overloaded_error"))
        told = await house.ask(NEEDS_OURS)
    assert told.status == 200
    assert len(claude.received) == 3


async def test_a_login_that_was_not_renewed_is_looked_for_once_and_not_tried_again(tmp_path: Path) -> None:
    login_file(tmp_path)(LOGIN)
    async with StandIn(REFUSED) as claude, forwarding(tmp_path, {"claude": claude}, sources=FROM_FILE) as house:
        told = await house.ask(NEEDS_OURS)
        [store] = house.forwarder.routes.upstreams["claude"].supply.sources()
        assert store.reads == 2
    assert (told.kind, told.client_status) == (FailureKind.AUTH, 403)
    assert len(claude.received) == 1


async def test_a_login_in_a_key_s_place_is_never_sent_to_a_gateway(tmp_path: Path) -> None:
    """The configuration tells logins by the name of their place; here one lies where a key should."""
    settings = load(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    gateway = replace(settings.upstreams["claude"], base_url="https://gateway.example", credential="minimax")
    changed = replace(settings, upstreams={**settings.upstreams, "claude": gateway})
    environment = {"HAIKU_PROVIDER_API_KEY": LOGIN}
    upstream = build_routes(changed, environment, lambda _: None).upstreams["claude"]
    with pytest.raises(AttemptFailed) as refused:
        await credential_for(message_request(), upstream)
    assert refused.value.failure.kind is FailureKind.NO_CREDENTIAL
    assert LOGIN not in refused.value.failure.message
