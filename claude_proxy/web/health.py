"""`/health`, `/livez` and `/metrics`: how the daemon is, without a secret."""

import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, json_response
from msgspec.structs import replace

from claude_proxy import __version__
from claude_proxy.credentials.credential import SupplyState
from claude_proxy.forwarding.forwarder import Forwarder
from claude_proxy.upstreams.breakers import Part
from claude_proxy.upstreams.route import Route
from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.web.drain import Drain
from claude_proxy.web.errors import SERVER


class Health:
    """Answers from memory: asking how the daemon is never asks an upstream, a disk or a keychain."""

    def __init__(
        self,
        drain: Drain,
        forwarder: Forwarder,
        metrics: Callable[[], Awaitable[bytes]],
        metrics_type: str,
        quota: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._drain = drain
        self._forwarder = forwarder
        self._metrics = metrics
        self._metrics_type = metrics_type
        self._quota = quota
        self._started = time.monotonic()

    async def health(self, _: BaseRequest) -> Response:
        """200 `healthy`, 503 `draining`."""
        routes = self._forwarder.routes
        upstreams = routes.upstreams
        body = {
            "status": "draining" if self._drain.draining else "healthy",
            "version": __version__,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "in_flight": self._drain.in_flight,
            "upstreams": {name: _upstream(upstream) for name, upstream in upstreams.items()},
            "credentials": _credentials(upstreams),
            "quota": self._quota(),
            "routes": [_route(route) for route in routes.routes],
        }
        return answer_json(body, 503 if self._drain.draining else 200)

    async def livez(self, _: BaseRequest) -> Response:
        """Always 200: the process runs."""
        return answer_json({"in_flight": self._drain.in_flight, "draining": self._drain.draining})

    async def metrics(self, _: BaseRequest) -> Response:
        return Response(body=await self._metrics(), headers={"Content-Type": self._metrics_type, "Server": SERVER})


def _upstream(upstream: Upstream) -> dict[str, Any]:
    breaker = upstream.breaker
    return {
        "base_url": upstream.base_url,
        "credential": upstream.credential,
        "breaker": {
            "state": str(breaker.state),
            "reason": breaker.reason or None,
            "retry_in_seconds": _seconds(breaker.retry_in),
            "parts": [_part(part) for part in breaker.parts()],
        },
        "slots": {
            "in_use": upstream.slots.in_use,
            "waiting": upstream.slots.waiting,
            "limit": upstream.slots.limit or None,
        },
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "of": str(part.of),
        "model": part.model,
        "state": str(part.breaker.state),
        "reason": part.breaker.reason or None,
        "retry_in_seconds": _seconds(part.breaker.retry_in),
    }


def _route(route: Route) -> dict[str, Any]:
    match = route.match
    return {
        "model": match.model,
        "agent": match.agent,
        "background": match.background and str(match.background),
        "to": [{"upstream": target.upstream.name, "model": target.model} for target in route.targets],
    }


def _seconds(left: float) -> float | None:
    """Null where there is nothing to wait for, and where waiting changes nothing."""
    return round(left, 1) or None if math.isfinite(left) else None


def _credentials(upstreams: Mapping[str, Upstream]) -> dict[str, Any]:
    states: dict[str, SupplyState] = {}
    for upstream in upstreams.values():
        state = upstream.supply.state()
        if refusal := upstream.breaker.refusal:
            state = replace(state, state="refused", detail=refusal)
        if states.setdefault(upstream.credential, state).state != "refused":
            states[upstream.credential] = state
    sources = {upstream.credential: upstream.sources for upstream in upstreams.values()}
    return {
        name: {
            "state": state.state,
            "source": state.source,
            "detail": state.detail or None,
            "expires_at": state.expires_at,
            "sources": sources[name],
            "refresh": state.refresh,
            "last_refresh": (
                {"at": state.refreshed_at, "outcome": state.refresh_outcome} if state.refreshed_at is not None else None
            ),
        }
        for name, state in states.items()
    }


def answer_json(body: object, status: int = 200) -> Response:
    """A JSON answer of the daemon's own, never cached."""
    headers = {"Server": SERVER, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return json_response(body, status=status, headers=headers)
