"""Every attempt that failed is one line of the log, with what it takes to find the reason and without a secret."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.asking import Reply, ask
from tests.claude_request import BETAS, SENTINEL, claude_body, claude_headers, stored_login
from tests.in_process import InProcess, in_process
from tests.paths.canaries import CLIENT_BEARER, COOKIE, GATEWAY_KEY, HAIKU_KEY, QUERY_KEY, REPEATING, found_in
from tests.paths.logins import BEARER, RENEWED_TOKEN, STORED_TOKEN, write_login_file
from tests.paths.test_stream_breaks import DELTAS, ERROR, HOWS, START, breaks
from tests.running import Daemon, running
from tests.stand_in import Answer, Received, StandIn, Wire, fails, hangs, replies, resets, says, sse, streams, two

PLACEHOLDER = {"x-api-key": SENTINEL}
NO_KNOWN_TYPE = "the upstream ended its stream with an error event"
HTML = replies(200, b"<html>Sign in</html>", [("Content-Type", "text/html")])
SPENT = [("anthropic-ratelimit-unified-status", "rejected"), ("anthropic-ratelimit-unified-reset", "4102444800")]


@dataclass(frozen=True)
class Case:
    """An answer, and the lines that are written where both upstreams give it: (upstream, kind, status)."""

    answer: Answer
    lines: Sequence[tuple[str, str, int | None]]
    brings: dict[str, str] = field(default_factory=lambda: BEARER)


def at_both(kind: str, status: int | None, *, tries: int = 1) -> list[tuple[str, str, int | None]]:
    return [(upstream, kind, status) for upstream in ("first", "second") for _ in range(tries)]


CASES = {
    "connect": Case(resets(), at_both("connect", None, tries=2)),
    "overloaded": Case(fails(529, "overloaded_error"), at_both("overloaded", 529, tries=2)),
    "overloaded, in a 200": Case(streams([ERROR]), at_both("overloaded", 200, tries=2)),
    "server error": Case(fails(500, "api_error"), at_both("server_error", 500, tries=2)),
    "rate limit": Case(fails(429, "rate_limit_error"), at_both("rate_limit", 429)),
    "a spent window": Case(fails(429, "rate_limit_error", headers=SPENT), at_both("rate_limit", 429)),
    "the client's own login": Case(fails(401, "authentication_error"), [("first", "client_auth", 401)]),
    "a login of ours": Case(fails(401, "authentication_error"), at_both("auth", 401), PLACEHOLDER),
    "what a login of ours may not": Case(fails(403, "permission_error"), at_both("forbidden", 403), PLACEHOLDER),
    "timeout": Case(hangs(), at_both("timeout", None)),
    "timeout after the head": Case(hangs([b": wait"]), at_both("timeout", 200)),
    "malformed": Case(HTML, at_both("malformed", 200)),
    "context window": Case(
        fails(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
        [("first", "context_window", 400)],
    ),
    "invalid request": Case(fails(400, "invalid_request_error"), [("first", "invalid_request", 400)]),
    **{
        f"broken stream: {how}": Case(breaks([START, DELTAS[0]], how), [("first", "broken_stream", 200)])
        for how in HOWS
    },
    "broken stream: its own error event": Case(
        breaks([START, DELTAS[0], ERROR], "ended"), [("first", "broken_stream", 200)]
    ),
}


def config(first: StandIn, second: StandIn) -> dict[str, Any]:
    """Two upstreams for every request, tried twice each, no silence of more than 300 ms, a breaker that bears all."""
    return {
        "credentials": {"claude": {"sources": ["client", "file"]}},
        "upstreams": {
            name: {"base_url": upstream.url, "dialect": "anthropic", "credential": "claude"}
            for name, upstream in (("first", first), ("second", second))
        },
        "routes": [
            {"model": "of-the-first-alone", "to": [{"upstream": "first"}]},
            {"to": [{"upstream": "first"}, {"upstream": "second"}]},
        ],
        "retry": {"first_wait": "1ms", "max_wait": "1ms", "max_retries": 1},
        "transport": {"stream_idle_timeout": "300ms", "header_timeout": "300ms"},
        "breaker": {"failures": 1000, "cooldown": "1ms", "max_cooldown": "1ms"},
    }


async def stream(daemon: InProcess, brings: dict[str, str], **fields: Any) -> Reply:
    body = claude_body(stream=True, thinking={"type": "adaptive"}, **fields)
    return await ask(f"{daemon.url}/v1/messages?beta=true", body, claude_headers(brings))


@pytest.mark.parametrize("name", CASES)
async def test_each_failed_attempt_is_one_line_that_says_all_of_it(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))
    async with two(case.answer, case.answer) as (first, second), in_process(tmp_path, config(first, second)) as daemon:
        reply = await stream(daemon, case.brings)
        lines = daemon.logged("attempt_failed")
        page = (await ask(f"{daemon.url}/metrics", method="GET")).body.decode()
        asked = len(first.received) + len(second.received)
    assert [(line["upstream"], line["kind"], line.get("status")) for line in lines] == list(case.lines)
    assert len(lines) == asked
    for line in lines:
        assert line["level"] == "warning"
        assert line["id"] == reply.headers["x-claude-proxy-request-id"]
        assert line["model"] == "claude-sonnet-4-5"
        assert (line["stream"], line["thinking"], line["query"]) == (True, True, "beta=true")
        assert line["body_bytes"] == len(first.received[0].body) > 300
        assert line["betas"].startswith(BETAS)
        assert 0 <= line["elapsed_ms"] <= line["total_ms"]
        assert line["cause"]
        total = f'upstream_errors_total{{kind="{line["kind"]}",upstream="{line["upstream"]}"}}'
        assert f"{total} {float(list(case.lines).count((line['upstream'], line['kind'], line.get('status'))))}" in page


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (ERROR, "the upstream ended its stream with an error event (overloaded_error)"),
        (sse("error", {"type": "error", "error": {"type": "canary", "message": "canary"}}), NO_KNOWN_TYPE),
        (b"event: error\ndata: canary\n\n", NO_KNOWN_TYPE),
    ],
    ids=["known", "unknown", "no JSON"],
)
async def test_of_an_upstreams_own_error_event_its_type_is_told_where_it_is_one(
    tmp_path: Path, event: bytes, cause: str
) -> None:
    answer = streams([START, event])
    async with two(answer) as (first, second), in_process(tmp_path, config(first, second)) as daemon:
        reply = await stream(daemon, BEARER)
        [line] = daemon.logged("attempt_failed")
    assert reply.body == START + event
    assert line["cause"] == cause


@pytest.mark.parametrize("how", ["reset", "silence"])
async def test_the_broken_answer_of_another_path_is_a_line_too(tmp_path: Path, how: str) -> None:
    async with (
        two(breaks([b"line 1\n"], how)) as (first, second),
        in_process(tmp_path, config(first, second)) as daemon,
    ):
        reply = await ask(f"{daemon.url}/v1/files/f_1/content", None, BEARER, method="GET")
        [line] = daemon.logged("attempt_failed")
        [exchange] = daemon.logged("exchange")
    assert reply.cut
    assert (line["upstream"], line["kind"], line["status"]) == ("first", "broken_stream", 200)
    assert (exchange["id"], exchange["end"]) == (line["id"], "broken")


async def test_the_time_of_a_broken_stream_is_that_until_it_broke(tmp_path: Path) -> None:
    async with (
        two(breaks([START], "silence")) as (first, second),
        in_process(tmp_path, config(first, second)) as daemon,
    ):
        await stream(daemon, BEARER)
        [line] = daemon.logged("attempt_failed")
    assert line["elapsed_ms"] >= 300  # the silence alone


async def test_the_times_of_a_later_attempt_are_its_own_and_those_since_the_request_came(tmp_path: Path) -> None:
    async with (
        two(hangs(), fails(400, "invalid_request_error")) as (first, second),
        in_process(tmp_path, config(first, second)) as daemon,
    ):
        await stream(daemon, BEARER)
        late, refused = daemon.logged("attempt_failed")
    assert late["elapsed_ms"] >= 300
    assert refused["total_ms"] >= late["total_ms"]
    assert refused["total_ms"] - refused["elapsed_ms"] >= 299  # the first one's time is not counted as the second's


async def test_a_login_that_was_renewed_meanwhile_is_a_line_and_then_an_answer(tmp_path: Path) -> None:
    write_login_file(tmp_path / ".claude", stored_login(STORED_TOKEN))

    async def renewed_meanwhile(received: Received, wire: Wire) -> None:
        write_login_file(tmp_path / ".claude", stored_login(RENEWED_TOKEN))
        await fails(401, "authentication_error", "OAuth token has expired")(received, wire)

    async with StandIn() as first, StandIn() as second, in_process(tmp_path, config(first, second)) as daemon:
        first.then(renewed_meanwhile)
        reply = await stream(daemon, PLACEHOLDER)
        [line] = daemon.logged("attempt_failed")
    assert reply.status == 200
    assert (line["upstream"], line["kind"], line["status"]) == ("first", "stale_token", 401)


async def test_an_upstream_that_was_not_asked_has_made_no_attempt(tmp_path: Path) -> None:
    async with StandIn() as first, StandIn() as second:
        changed = {**config(first, second), "breaker": {"failures": 1, "cooldown": "1h"}, "retry": {"max_retries": 0}}
        async with in_process(tmp_path, changed) as daemon:
            assert (await stream(daemon, PLACEHOLDER)).status == 403  # neither has a credential
            first.then(fails(500, "api_error"))
            for _ in range(2):
                assert (await stream(daemon, BEARER)).headers["x-claude-proxy-upstream"] == "second"
            [line] = daemon.logged("attempt_failed")
            skipped = [line["upstream"] for line in daemon.logged("target_skipped")]
    assert line["kind"] == "server_error"
    assert skipped == ["first", "second", "first"]


# --- as it is written, and what never is -----------------------------------------------------------------

LINE = re.compile(r"(\w+)=(\"(?:[^\"\\]|\\.)*\"|[^\s\"]+)")
FIELDS = ["ts", "level", "event", "id", "upstream", "model", "kind", "status", "stream", "body_bytes", "thinking"]
FIELDS += ["betas", "query", "elapsed_ms", "total_ms", "cause"]
MADE_UP = {
    "Authorization": f"Bearer {CLIENT_BEARER}",
    "Cookie": f"session={COOKIE}",
    "X-Gateway-Key": GATEWAY_KEY,
}


def fields_of(line: str) -> dict[str, str]:
    """The pairs of a line, which consists of nothing else."""
    found = LINE.findall(line)
    assert " ".join(f"{name}={value}" for name, value in found) == line
    return dict(found)


async def lines_of(daemon: Daemon, reply: Reply) -> list[str]:
    """What was logged of the exchange that a reply came from, once it is closed."""
    request_id = reply.headers["x-claude-proxy-request-id"]
    await daemon.logged(rf"event=exchange id={request_id} ")
    return [line for line in daemon.lines if request_id in line]


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-haiku-4-5"], ids=["claude", "a stranger"])
async def test_the_line_is_plain_pairs_and_no_secret_that_an_upstream_repeats_is_in_it(
    tmp_path: Path, model: str
) -> None:
    async with two() as (claude, minimax):
        whole = {
            "upstreams": {"claude": {"base_url": claude.url}, "minimax": {"base_url": minimax.url}},
            "routes": [
                {"model": "claude-haiku-*", "to": [{"upstream": "minimax"}]},
                {"to": [{"upstream": "claude"}]},
            ],
            "breaker": {"failures": 1000, "cooldown": "1ms", "max_cooldown": "1ms"},
            "retry": {"max_retries": 0},
        }
        asked = claude if "sonnet" in model else minimax
        env = {"HAIKU_PROVIDER_API_KEY": HAIKU_KEY}
        async with running(tmp_path / "home", whole, env, "--log-level", "debug") as daemon:
            for name, repeating in REPEATING.items():
                for streaming in (True, False):
                    await daemon.reload()  # or a key that was refused before would not be used again
                    asked.answer = repeating
                    path = f"/v1/messages?beta=true&api_key={QUERY_KEY}&{QUERY_KEY}"
                    body = claude_body(model=model, stream=streaming)
                    reply = await ask(daemon.url + path, body, claude_headers(MADE_UP))
                    lines = await lines_of(daemon, reply)
                    failed = [line for line in lines if "event=attempt_failed" in line]
                    assert len(failed) == 1, (name, lines)
                    fields = fields_of(failed[0])
                    assert [field for field in FIELDS if field in fields or field == "status"] == FIELDS, (name, fields)
                    assert fields["query"] == '"beta=true&api_key=[redacted]&[redacted]"', name
            asked.answer = says()
            assert await daemon.stop() == 0
        sent = asked.received[0]
    assert CLIENT_BEARER in str(sent.headers) or HAIKU_KEY in str(sent.headers)
    assert found_in(daemon.log) == set()


async def test_what_the_upstream_says_cannot_begin_a_line(tmp_path: Path) -> None:
    forged = 'no\nts=now level=info event=exchange id="forged"\r\n\u2028\x00\x1b[2J'
    async with (
        StandIn(fails(400, "invalid_request_error", forged)) as claude,
        running(tmp_path / "home", {"upstreams": {"claude": {"base_url": claude.url}}}) as daemon,
    ):
        reply = await ask(f"{daemon.url}/v1/messages", claude_body(), claude_headers(BEARER))
        lines = await lines_of(daemon, reply)
    assert [fields_of(line)["event"] for line in lines] == ["attempt_failed", "exchange"]
    assert not [line for line in daemon.lines if line.startswith("ts=now") or "\x1b" in line]
