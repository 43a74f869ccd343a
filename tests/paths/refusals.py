"""What every refusal of the daemon looks like to those who knock at its door."""

import re

from tests.raw_client import Answer, Outcome, ask
from tests.running import Daemon
from tests.stand_in import StandIn

ANY_MARK = re.compile(rb"mark\d{4}")
LIMITS = {"max_body": "1MiB", "head_timeout": "1s", "body_timeout": "1s"}


def assert_error_of_ours(answer: Answer) -> str:
    """Anthropic's shape, and the header that says that the fault is told by us; returns the message."""
    assert answer.version in {"HTTP/1.0", "HTTP/1.1"}
    assert answer.header("x-claude-proxy-error"), answer
    assert (answer.header("content-type") or "").startswith("application/json"), answer
    body = answer.json()
    assert body["type"] == "error"
    assert isinstance(body["error"]["type"], str)
    assert body["error"]["type"].endswith("_error") or body["error"]["type"] == "request_too_large"
    assert isinstance(body["request_id"], str)
    assert body["request_id"] == answer.header("x-claude-proxy-request-id")
    message = body["error"]["message"]
    assert isinstance(message, str)
    assert message
    return message


def assert_refused(outcome: Outcome) -> None:
    """Answered with 4xx or closed without a word; nothing hidden in the request was served either."""
    assert outcome.closed, f"the connection is still open: {outcome}"
    assert not outcome.rest, f"no whole answer: {outcome.rest[:500]!r}"
    answers = list(outcome.answers)
    if answers and answers[-1].status == 200 and "in_flight" in answers[-1].json():
        answers.pop()  # our own question, asked after the first answer
        assert answers
    for answer in answers:
        assert 400 <= answer.status < 500, f"served: {answer}"
        if answer.body:
            assert_error_of_ours(answer)
    assert not ANY_MARK.search(outcome.raw), f"a byte of the request came back: {outcome.raw[:500]!r}"


def so_far(daemon: Daemon, upstream: StandIn) -> tuple[int, int]:
    """How many lines it has logged and how many requests the upstream has received."""
    return len(daemon.lines), len(upstream.received)


async def assert_unharmed(daemon: Daemon, upstream: StandIn, before: tuple[int, int]) -> None:
    """The daemon is well, its log tells no more than it should, and nothing came to the upstream."""
    health = await ask(daemon.port, "/health")
    assert health.status == 200
    assert health.json()["status"] == "healthy"
    assert_log_is_clean(daemon.lines[before[0] :])
    assert upstream.received[before[1] :] == []


def assert_log_is_clean(lines: list[str]) -> None:
    """No fault was logged with a traceback, and no byte of a request was logged at all."""
    faults = [number for number, line in enumerate(lines) if "Traceback" in line]
    assert not faults, "\n".join(lines[faults[0] : faults[0] + 40])
    assert not [line for line in lines if ANY_MARK.search(line.encode())]
