"""How things are: routing, daemon, upstreams, and what this set-up turns off in Claude Code."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from claude_proxy.toggle.health import Health, Silence, mapping, sequence
from claude_proxy.toggle.routing import Routing
from claude_proxy.toggle.settings_text import HAIKU_MODEL, OLDER_HAIKU_MODEL, TOOL_SEARCH
from claude_proxy.toggle.today import Today

UP, DEGRADED, DOWN = 0, 1, 3

# What Claude Code turns off for every base URL that is not Anthropic's (code.claude.com/docs/en/llm-gateway).
_ALWAYS_OFF = ("Remote Control", "fine-grained tool streaming", "the check of model names")
_OFF_WORDS = frozenset({"", "0", "false", "no", "off"})
_BAD_CREDENTIAL = frozenset({"unusable", "refused"})


class Status(NamedTuple):
    """Everything that `status` tells. `memory` in bytes, None where it cannot be known; `stale_sessions`: how many
    running sessions were started before routing was on, None where that cannot be known. `today` is what was used,
    None where the daemon does not tell."""

    routing: Routing
    health: Health | Silence
    version: str
    warnings: tuple[str, ...] = ()
    memory: int | None = None
    stale_sessions: int | None = None
    features_off: tuple[str, ...] = ()
    today: Today | None = None

    @property
    def exit_code(self) -> int:
        """0 up, 1 degraded, 3 down (as LSB has it for "not running")."""
        if isinstance(self.health, Silence):
            return DOWN
        troubled = any(upstream.troubled for upstream in upstreams(self.health))
        return DEGRADED if self.health.draining or troubled or self.routing.troubles else UP

    def as_json(self) -> dict[str, Any]:
        """For programs; names and their meaning stay."""
        health = self.health
        return {
            "routing": {
                "on": self.routing.on,
                "via": list(self.routing.via),
                "url": self.routing.url,
                "elsewhere": self.routing.elsewhere or None,
                "since": self.routing.since,
                "troubles": list(self.routing.troubles),
                "notes": list(self.routing.notes),
            },
            "daemon": {
                "up": isinstance(health, Health),
                "reason": health.reason if isinstance(health, Silence) else None,
                "memory_bytes": self.memory,
                "health": health.body if isinstance(health, Health) else None,
            },
            "today": None if self.today is None else dict(self.today),
            "features_off": list(self.features_off),
            "stale_sessions": self.stale_sessions,
            "warnings": list(self.warnings),
            "exit_code": self.exit_code,
        }


class UpstreamStatus(NamedTuple):
    """One upstream that routes lead to. `parts` are its breakers that are not closed, `credential` what is known of
    its credential; `instead`: who answers meanwhile, for whatever is taken to it first."""

    name: str
    parts: tuple[dict[str, Any], ...]
    credential: dict[str, Any]
    quota: dict[str, Any]
    slots: dict[str, Any]
    instead: tuple[tuple[str, str | None], ...]

    @property
    def has_credential(self) -> bool:
        return self.credential.get("state") not in {"absent", *_BAD_CREDENTIAL}

    @property
    def spent(self) -> bool:
        """Whether nothing is left of the plan; a window of one model alone keeps the others going."""
        windows = {name: mapping(window).get("status") for name, window in mapping(self.quota.get("windows")).items()}
        if any(windows.values()):
            return any(status == "rejected" for name, status in windows.items() if "_" not in name)
        return self.quota.get("status") == "rejected"

    @property
    def troubled(self) -> bool:
        return bool(self.parts) or self.credential.get("state") in _BAD_CREDENTIAL or self.spent


def upstreams(health: Health) -> list[UpstreamStatus]:
    """Those that routes lead to, in the daemon's order; all where it does not tell its routes."""
    routes = [mapping(route) for route in sequence(health.body.get("routes"))]
    named = {str(mapping(target).get("upstream")) for route in routes for target in sequence(route.get("to"))}
    shown = [name for name in health.section("upstreams") if name in named or not routes]
    return [_upstream(name, health, routes) for name in shown]


def features_off(routing: Routing, environment: Mapping[str, str]) -> tuple[str, ...]:
    """What Claude Code does not do as long as routing is on."""
    if not routing.on:
        return ()
    off = list(_ALWAYS_OFF)
    if routing.effective(TOOL_SEARCH, environment).lower() in _OFF_WORDS:
        off.append(f"tool search ({TOOL_SEARCH} is not set)")
    if not any(routing.effective(name, environment) for name in (HAIKU_MODEL, OLDER_HAIKU_MODEL)):
        off.append("Haiku for background calls (they use the main model)")
    return tuple(off)


def _upstream(name: str, health: Health, routes: list[dict[str, Any]]) -> UpstreamStatus:
    body = mapping(health.section("upstreams").get(name))
    credential = str(body.get("credential"))
    return UpstreamStatus(
        name,
        tuple(mapping(part) for part in sequence(mapping(body.get("breaker")).get("parts"))),
        {"state": "none needed"} if credential == "none" else mapping(health.section("credentials").get(credential)),
        mapping(health.section("quota").get(name)),
        mapping(body.get("slots")),
        tuple(_instead(name, route) for route in routes if _first(route) == name),
    )


def _first(route: dict[str, Any]) -> str | None:
    return next((str(mapping(target).get("upstream")) for target in sequence(route.get("to"))), None)


def _instead(name: str, route: dict[str, Any]) -> tuple[str, str | None]:
    """What the route is for, and the next upstream on it, None where there is none."""
    targets = [str(mapping(target).get("upstream")) for target in sequence(route.get("to"))]
    return str(route.get("model") or "all else"), next((other for other in targets if other != name), None)
