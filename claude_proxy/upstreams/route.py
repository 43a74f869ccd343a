"""Which upstreams answer a request: routes in order, each with its targets in order."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.wire.messages import Background, ClientRequest


class Match(msgspec.Struct, frozen=True):
    """What a route asks of a request; what is None matches everything.

    `model` is a glob and case-insensitive, `agent` is `main` or `sub`.
    """

    model: str | None = None
    agent: str | None = None
    background: Background | None = None

    def matches(self, request: ClientRequest) -> bool:
        if self.model is not None and not fnmatchcase(request.model.lower(), self.model.lower()):
            return False
        if self.agent is not None and (self.agent == "sub") != (request.agent_id is not None):
            return False
        return self.background is None or request.background is self.background

    def __str__(self) -> str:
        parts = {"model": self.model, "agent": self.agent, "background": self.background}
        return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None) or "everything"


class Target(msgspec.Struct, frozen=True):
    """An upstream, and the name under which it knows the model; None: as the client says."""

    upstream: Upstream
    model: str | None = None


class Route(msgspec.Struct, frozen=True):
    match: Match
    targets: tuple[Target, ...]


class Decision(msgspec.Struct, frozen=True):
    """Where a request goes: the targets in order, and why, in words."""

    route: str
    targets: tuple[Target, ...]
    reason: str


class RouteTable:
    """All routes; the last one matches everything. Immutable: a reload makes another."""

    def __init__(self, routes: Sequence[Route], upstreams: Mapping[str, Upstream], sentinels: frozenset[str]) -> None:
        self.routes = tuple(routes)
        self._ready = [
            (
                route,
                all(target.upstream.native for target in route.targets),
                Decision(str(route.match), route.targets, f"matches {route.match}"),
            )
            for route in routes
        ]
        self.upstreams = dict(upstreams)
        self.sentinels = sentinels

    def decide(self, request: ClientRequest) -> Decision:
        """The first route that matches; what only Anthropic can answer goes to an Anthropic upstream whatever
        the routes say."""
        route, all_native, decision = next(each for each in self._ready if each[0].match.matches(request))
        # Nothing depends on it where all are Anthropic's; looking for server tools costs as much as reading the body.
        needed = None if all_native else _needs_anthropic(request)
        if needed is None:
            return decision
        native = self._native(route)
        if not native:
            return Decision(
                str(route.match), route.targets, f"matches {route.match}; no Anthropic upstream for {needed}"
            )
        return Decision(str(route.match), native, f"{needed}: only Anthropic can answer it")

    def default_native(self) -> tuple[Target, ...]:
        """Where a request goes that names no model: the default route's Anthropic upstreams."""
        return self._native(self.routes[-1])

    def _native(self, route: Route) -> tuple[Target, ...]:
        for targets in (route.targets, self.routes[-1].targets):
            if native := tuple(target for target in targets if target.upstream.native):
                return native
        return tuple(Target(upstream) for upstream in self.upstreams.values() if upstream.native)[:1]


def _needs_anthropic(request: ClientRequest) -> str | None:
    """Why only Anthropic can answer this, or None."""
    if request.background is Background.QUOTA_PROBE:
        return "a quota probe"
    if request.server_tools:
        return f"the server tool {request.server_tools[0]}"
    return None
