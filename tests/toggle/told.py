"""Statuses made by hand: what `/health` says, and how routing is."""

from typing import Any

from claude_proxy.toggle.health import Health
from claude_proxy.toggle.routing import Routing

NOW = 1_795_700_000.0  # a Thursday, 2026-11-26, 13:33:20 in UTC
ON = Routing("http://127.0.0.1:8082", via=("~/.claude/settings.json",))
OFF = Routing("http://127.0.0.1:8082")


def window(used: float | None, resets_at: float | None, status: str | None = "allowed") -> dict[str, Any]:
    return {"status": status, "utilization": used, "resets_at": resets_at, "surpassed_threshold": None, "read_at": NOW}


def upstream(credential: str, *parts: dict[str, Any], **slots: int | None) -> dict[str, Any]:
    state = "open" if parts else "closed"
    return {
        "base_url": "https://example.com",
        "credential": credential,
        "breaker": {"state": state, "reason": None, "retry_in_seconds": None, "parts": list(parts)},
        "slots": {"in_use": 0, "waiting": 0, "limit": None, **slots},
    }


def part(reason: str | None, wait: float | None, of: str = "api", model: str | None = None) -> dict[str, Any]:
    return {"of": of, "model": model, "state": "open", "reason": reason, "retry_in_seconds": wait}


def credential(state: str, source: str | None = None, detail: str | None = None) -> dict[str, Any]:
    return {"state": state, "source": source, "detail": detail, "expires_at": None, "sources": []}


def health(**more: Any) -> Health:
    """Of a daemon with its default routes and a key for MiniMax, which is well."""
    body = {
        "status": "healthy",
        "version": "1.2.0",
        "pid": 4312,
        "uptime_seconds": 8_065.3,
        "in_flight": 1,
        "upstreams": {"claude": upstream("claude"), "minimax": upstream("minimax")},
        "credentials": {
            "claude": credential("pass-through", "client"),
            "minimax": credential("present", "env:HAIKU_PROVIDER_API_KEY"),
        },
        "quota": {},
        "routes": [
            {
                "model": "claude-haiku-*",
                "agent": None,
                "background": None,
                "to": [{"upstream": "minimax", "model": "M"}, {"upstream": "claude", "model": None}],
            },
            {"model": None, "agent": None, "background": None, "to": [{"upstream": "claude", "model": None}]},
        ],
        **more,
    }
    return Health(body, 0.0004)


def quota(*windows: tuple[str, dict[str, Any]], status: str = "allowed", age: float = 12.4) -> dict[str, Any]:
    return {"claude": {"status": status, "age_seconds": age, "windows": dict(windows)}}
