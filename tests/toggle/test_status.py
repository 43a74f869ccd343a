"""A status is up, degraded or down, and says which features of Claude Code are off."""

import json
from dataclasses import replace
from typing import Any

import pytest

from claude_proxy.toggle.health import Health, Silence
from claude_proxy.toggle.routing import Routing
from claude_proxy.toggle.settings_text import SettingsText
from claude_proxy.toggle.status import DEGRADED, DOWN, UP, Status, features_off, upstreams
from tests.toggle.told import NOW, OFF, ON, credential, health, part, quota, upstream, window

ALWAYS_OFF = ("Remote Control", "fine-grained tool streaming", "the check of model names")
BREAKER = {"claude": upstream("claude", part("x", 1)), "minimax": upstream("minimax")}
REFUSED = {"claude": credential("refused"), "minimax": credential("present")}
NO_KEY = {"claude": credential("pass-through"), "minimax": credential("absent")}
SPENT = quota(("5h", window(1.0, NOW, "rejected")), status="rejected")
ONE_MODEL = quota(("5h", window(0.1, NOW)), ("7d_oi", window(1.0, NOW, "rejected")), status="rejected")


@pytest.mark.parametrize(
    ("found", "routing", "code"),
    [
        (health(), ON, UP),
        (health(), OFF, UP),
        (health(credentials=NO_KEY), ON, UP),
        (health(quota=ONE_MODEL), ON, UP),
        (health(status="draining"), ON, DEGRADED),
        (health(upstreams=BREAKER), ON, DEGRADED),
        (health(credentials=REFUSED), ON, DEGRADED),
        (health(quota=SPENT), ON, DEGRADED),
        (health(quota=quota(status="rejected")), ON, DEGRADED),
        (health(), replace(ON, troubles=("x",)), DEGRADED),
        (health(), replace(ON, notes=("x",)), UP),
        (Silence("connection refused"), ON, DOWN),
        (Silence("connection refused"), OFF, DOWN),
        (Silence("something else", taken=True), OFF, DOWN),
    ],
)
def test_up_degraded_or_down(found: Health | Silence, routing: Routing, code: int) -> None:
    assert Status(routing, found, "1.2.0").exit_code == code


def settings(**env: str) -> SettingsText:
    return SettingsText(json.dumps({"env": env}).encode(), "s")


@pytest.mark.parametrize(
    ("routing", "environment", "off"),
    [
        (OFF, {}, ()),
        (
            ON,
            {},
            (
                *ALWAYS_OFF,
                "tool search (ENABLE_TOOL_SEARCH is not set)",
                "Haiku for background calls (they use the main model)",
            ),
        ),
        (
            replace(ON, settings=settings(ENABLE_TOOL_SEARCH="true")),
            {},
            (*ALWAYS_OFF, "Haiku for background calls (they use the main model)"),
        ),
        (
            replace(ON, settings=settings(ENABLE_TOOL_SEARCH="auto", ANTHROPIC_DEFAULT_HAIKU_MODEL="x")),
            {"ENABLE_TOOL_SEARCH": "false"},
            ALWAYS_OFF,
        ),
        (ON, {"ENABLE_TOOL_SEARCH": "true", "ANTHROPIC_SMALL_FAST_MODEL": "x"}, ALWAYS_OFF),
    ],
)
def test_which_features_are_off(routing: Routing, environment: dict[str, str], off: tuple[str, ...]) -> None:
    assert features_off(routing, environment) == off


def test_who_answers_instead() -> None:
    claude, minimax = upstreams(health())
    assert minimax.instead == (("claude-haiku-*", "claude"),)
    assert claude.instead == (("all else", None),)


def test_upstreams_that_no_route_leads_to_are_not_told() -> None:
    unused = {"claude": upstream("claude"), "spare": upstream("spare")}
    assert [found.name for found in upstreams(health(upstreams=unused))] == ["claude"]
    assert [found.name for found in upstreams(health(upstreams=unused, routes=None))] == ["claude", "spare"]


@pytest.mark.parametrize(
    "more",
    [
        {"upstreams": None},
        {"upstreams": {"claude": None}},
        {"upstreams": {"claude": {"breaker": {"parts": ["?"]}, "slots": []}}},
        {"credentials": [], "quota": 5, "routes": {"to": "?"}},
        {"routes": [{"to": [{"upstream": "claude"}]}, "?"]},
    ],
)
def test_a_daemon_of_another_version_may_say_what_it_likes(more: dict[str, Any]) -> None:
    told = Status(ON, health(**more), "1.2.0")
    assert told.exit_code in {UP, DEGRADED}
    assert json.loads(json.dumps(told.as_json()))["exit_code"] == told.exit_code


def test_for_programs() -> None:
    told = Status(
        replace(ON, since=NOW, notes=("n",)), health(), "1.2.0", ("w",), 51_000_000, 2, features_off(ON, {})
    ).as_json()
    assert told["routing"] == {
        "on": True,
        "via": ["~/.claude/settings.json"],
        "url": "http://127.0.0.1:8082",
        "elsewhere": None,
        "since": NOW,
        "troubles": [],
        "notes": ["n"],
    }
    assert told["daemon"]["up"] is True
    assert told["daemon"]["health"]["pid"] == 4312
    assert told["daemon"]["memory_bytes"] == 51_000_000
    assert (told["stale_sessions"], told["warnings"], told["exit_code"]) == (2, ["w"], 0)
    assert told["features_off"][:3] == list(ALWAYS_OFF)


def test_for_programs_when_it_is_down() -> None:
    told = Status(OFF, Silence("connection refused"), "1.2.0").as_json()
    assert told["daemon"] == {"up": False, "reason": "connection refused", "memory_bytes": None, "health": None}
    assert (told["routing"]["on"], told["exit_code"]) == (False, 3)
