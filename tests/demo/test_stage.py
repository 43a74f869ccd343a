"""The demo as a process: what it prints, whom it serves, what it looks at and whom it asks."""

import asyncio
import json
import re
import shlex
import signal
import sys
from typing import Any

import pytest

from tests.asking import ask
from tests.demo import witnessed_demo
from tests.demo.playing import ASKED, HAIKU, OWN_KEY, STORED_LOGIN, TOKEN, Place, asked, playing
from tests.opened_files import watched
from tests.running import clean_environment, eventually

AFTER_A_TOOL: dict[str, Any] = {
    **ASKED,
    "model": HAIKU,
    "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "done"}]}],
}


async def test_it_prints_one_line_for_claude_code_and_where_its_files_lie(place: Place) -> None:
    async with playing(place) as demo:
        [directory] = place.left_behind()
        assert re.fullmatch(
            r"  ANTHROPIC_BASE_URL=http://127\.0\.0\.1:\d+ ANTHROPIC_AUTH_TOKEN=demo claude", demo.command
        )
        assert str(place.temporary / directory) in demo.printed
        files = {path.name: path for path in (place.temporary / directory).iterdir()}
        assert set(files) == {"config.yaml", "daemon.log"}
        assert (place.temporary / directory).stat().st_mode & 0o777 == 0o700
        assert files["daemon.log"].stat().st_mode & 0o777 == 0o600


async def test_what_it_recorded_is_shown_by_the_command_that_it_prints(place: Place) -> None:
    async with playing(place) as demo:
        (command,) = re.findall(r"^  claude-proxy (usage model --config \S+)$", demo.printed, re.MULTILINE)
        await asked(demo, ASKED)
        while True:
            shown = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "claude_proxy", *shlex.split(command)),
                env=clean_environment(place.home),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said = (await shown.communicate())[0].decode()
            if said:
                break  # until it is written, nothing is recorded yet
    assert re.search(r"^claude-opus-4-8 +1 ", said, re.MULTILINE)


async def test_claude_s_models_and_haiku_go_their_ways(place: Place) -> None:
    async with playing(place) as demo:
        claude = await asked(demo, ASKED)
        haiku = await asked(demo, {**ASKED, "model": HAIKU})
        failed_over = await asked(demo, AFTER_A_TOOL)
        await demo.until("→ claude +200 +3 ")
    seen = [
        (reply.status, reply.headers["x-claude-proxy-upstream"], reply.headers["x-claude-proxy-attempts"])
        for reply in (claude, haiku, failed_over)
    ]
    assert seen == [(200, "claude", "1"), (200, "minimax", "1"), (200, "claude", "3")]
    assert [reply.events[-1][0] for reply in (claude, haiku, failed_over)] == ["message_stop"] * 3
    assert haiku.events[0][1]["message"]["model"] == HAIKU
    assert claude.headers["anthropic-ratelimit-unified-5h-utilization"] == "0.42"
    kinds = [line[9:].split()[0] if line.startswith(" ") else line.partition("→ ")[2].split()[0] for line in demo.table]
    assert kinds == ["·", "claude", "minimax", "·", "·", "claude"]


async def test_a_failed_try_is_shown_while_the_request_goes_on(place: Place) -> None:
    async with playing(place) as demo:
        asking = asyncio.create_task(asked(demo, AFTER_A_TOOL))
        await demo.until("· minimax failed: 529 overloaded")
        assert not any("→" in line for line in demo.table)
        assert (await asking).status == 200


async def test_a_whole_message_and_a_count_of_tokens_are_answered_too(place: Place) -> None:
    async with playing(place) as demo:
        whole = await asked(demo, {**ASKED, "stream": False})
        body = {"model": HAIKU, "messages": ASKED["messages"]}
        count = await ask(f"{demo.url}/v1/messages/count_tokens", body, TOKEN)
        await demo.until(" count ")
    assert whole.json()["content"][0]["type"] == "text"
    assert count.json()["input_tokens"] > 0


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {STORED_LOGIN}"}, {"x-api-key": OWN_KEY}, {"x-api-key": "proxy-managed"}, {}],
    ids=["a login", "a key", "the placeholder", "nothing"],
)
async def test_without_the_demo_s_token_nothing_is_answered(place: Place, headers: dict[str, str]) -> None:
    async with playing(place) as demo:
        reply = await asked(demo, ASKED, headers)
        log = next(place.temporary.iterdir()) / "daemon.log"
        assert (reply.status, reply.headers["x-claude-proxy-error"]) == (403, "access_token")
        demo.signal(signal.SIGINT)
        assert await demo.ended() == 0
        assert not log.exists()
    assert [line for line in demo.table if "→" in line] == []


async def test_a_key_beside_the_token_goes_nowhere_and_into_no_log(place: Place) -> None:
    async with playing(place) as demo:
        reply = await asked(demo, ASKED, {**TOKEN, "x-api-key": OWN_KEY})
        await demo.until("→ claude ")
        log = next(place.temporary.iterdir()) / "daemon.log"
        await eventually(lambda: "event=exchange" in log.read_text())
        assert reply.status == 200  # the stand-in answers no other key than that of this run
        assert OWN_KEY not in log.read_text()
    assert OWN_KEY not in demo.printed


# --- what it looks at and whom it asks -----------------------------------------------------------------


async def test_it_connects_to_nobody_but_this_machine_and_opens_nothing_of_the_user_s(place: Place) -> None:
    notes = place.temporary.parent / "notes"
    before = place.files()
    with watched(place.login) as login:
        async with playing(place, str(notes), "--once", program=(witnessed_demo.__file__,), wait=False) as demo:
            assert await demo.ended() == 0
        assert not login.opened()
    events = [json.loads(line) for line in notes.read_text().splitlines()]

    connections = [event[2] for event in events if event[0] == "socket.connect"]
    assert {host for host, _ in connections} == {"127.0.0.1"}
    assert (
        len({port for _, port in connections}) == 2
    )  # its own questions to the daemon, and from there to the stand-in
    assert {event[2][0] for event in events if event[0] == "socket.bind"} == {"127.0.0.1"}
    assert {event[1] for event in events if event[0] == "socket.getaddrinfo"} <= {"127.0.0.1"}
    rest = {event[0] for event in events} - {"open", "socket.__new__", "socket.connect", "socket.bind"}
    assert rest <= {"socket.getaddrinfo", "socket.getnameinfo"}  # so no process was started either

    opened = {str(event[1]) for event in events if event[0] == "open"}
    assert any("claude-proxy-demo-" in path for path in opened)
    assert [path for path in opened if path.startswith(str(place.home))] == []
    assert place.files() == before
    assert place.left_behind() == []
