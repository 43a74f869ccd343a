"""Doors and doorkeepers put together: each request is checked, then answered by the door its path names.

Paths are matched raw and exactly. A path that could be read in two ways (encoded letters, dot segments, double
slashes) is refused rather than normalised: the upstream might normalise differently.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext

from aiohttp import HttpVersion10
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse

from claude_proxy import __version__
from claude_proxy.web.conversations import ConversationsDoor
from claude_proxy.web.drain import Drain
from claude_proxy.web.errors import SERVER, Refused, refusal
from claude_proxy.web.events import EventsDoor
from claude_proxy.web.guard import Guard
from claude_proxy.web.health import Health, answer_json
from claude_proxy.web.messages import MessagesDoor
from claude_proxy.web.models import ModelsDoor
from claude_proxy.web.openapi import openapi_json, openapi_yaml
from claude_proxy.web.requests import RequestsDoor
from claude_proxy.web.stats import StatsDoor
from claude_proxy.wire.messages import COUNT_TOKENS, MESSAGES

Door = Callable[[BaseRequest], Awaitable[StreamResponse]]

_PLAIN_PATH = re.compile(r"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.~:@!$&'()*+,=-]+)+/?")
_PLAIN_QUERY = re.compile(r"[!-~]*")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_POST_ONLY = frozenset({MESSAGES, COUNT_TOKENS})
_EVENTS = "/api/events"
_ALWAYS_OPEN = frozenset({"/health", "/livez", "/metrics"})
_NOT_WAITED_FOR = _ALWAYS_OPEN | {_EVENTS}  # while draining; who listens to events is sent away then


class App:
    """The handler of every request."""

    def __init__(
        self,
        guard: Guard,
        drain: Drain,
        messages: MessagesDoor,
        models: ModelsDoor,
        health: Health,
        events: EventsDoor,
        requests: RequestsDoor,
        stats: StatsDoor,
        conversations: ConversationsDoor,
    ) -> None:
        self._guard = guard
        self._drain = drain
        self._messages = messages.answer
        self._doors: Mapping[tuple[str, str], Door] = {
            ("GET", "/"): _landing,
            ("GET", "/api/hello"): _landing,
            ("GET", "/api/conversations"): conversations.list,
            ("GET", "/api/conversations/project"): conversations.of_project,
            ("GET", "/api/conversations/{id}"): conversations.one,
            ("GET", "/api/events"): events.answer,
            ("GET", "/api/requests"): requests.list,
            ("DELETE", "/api/requests"): requests.delete,
            ("GET", "/api/requests/latest-date"): requests.latest_date,
            ("GET", "/api/requests/summary"): requests.summary,
            ("GET", "/api/requests/{id}"): requests.one,
            ("GET", "/api/stats"): stats.all,
            ("GET", "/api/stats/dashboard"): stats.dashboard,
            ("GET", "/api/stats/hourly"): stats.hourly,
            ("GET", "/api/stats/models"): stats.models,
            ("GET", "/api/stats/organizations"): stats.organizations,
            ("GET", "/api/stats/today"): stats.today,
            ("GET", "/health"): health.health,
            ("GET", "/livez"): health.livez,
            ("GET", "/metrics"): health.metrics,
            ("GET", "/openapi.json"): openapi_json,
            ("GET", "/openapi.yaml"): openapi_yaml,
            ("GET", "/v1/models"): models.answer,
            ("POST", "/v1/chat/completions"): _not_this_api,
        }

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        try:
            path = _checked_path(request)
            self._guard.admit(request, path)
            with self._drain.request() if path not in _NOT_WAITED_FOR else nullcontext():
                if self._drain.refusing and path not in _ALWAYS_OPEN:
                    raise _draining()
                return await self._door(request.method, path)(request)
        except Refused as refused:
            return refusal(refused)

    def _methods(self, path: str) -> frozenset[str]:
        """The methods that are served at a path."""
        if path in _POST_ONLY:
            return frozenset({"POST"})
        path = self._described(path)
        own = {method for method, served in self._doors if served == path}
        return frozenset(own | ({"HEAD"} if "GET" in own else set())) if own else _METHODS

    def _described(self, path: str) -> str:
        """The path as the table of doors has it: with {id} for what is one of many."""
        parent, _, last = path.rpartition("/")
        many = f"{parent}/{{id}}"
        is_one = last and ("GET", many) in self._doors and ("GET", path) not in self._doors
        return many if is_one else path

    def _door(self, method: str, path: str) -> Door:
        known = path if path.startswith("/v1/") else self._described(path)
        door = self._doors.get(("GET" if method == "HEAD" else method, known))
        if door is not None:
            return door
        allowed = self._methods(path)
        if method not in allowed:
            # Closed: what follows a CONNECT is no request.
            headers = (("Allow", ", ".join(sorted(allowed))),)
            raise Refused(405, "method", "this method is not served here", headers=headers, close=True)
        if path.startswith("/v1/"):
            return self._messages
        raise Refused(404, "not_found", "there is nothing here; the API is below /v1/, /health says how the daemon is")


def _checked_path(request: BaseRequest) -> str:
    """The path, raw. Raises Refused for what is not plain HTTP/1.x to a plain path."""
    coding = request.headers.getall("Transfer-Encoding", [])
    if coding and (coding[0].strip().lower() != "chunked" or len(coding) > 1 or request.version == HttpVersion10):
        raise Refused(400, "malformed", "the only Transfer-Encoding understood is `chunked`, in HTTP/1.1", close=True)
    if "Upgrade" in request.headers and not request.body_exists:
        # What follows on the connection may be of the other protocol: it must not be read as a request.
        raise Refused(400, "malformed", "no other protocol is spoken here than HTTP/1.1", close=True)
    path, _, query = request.raw_path.partition("?")
    if not _PLAIN_PATH.fullmatch(path) or not _PLAIN_QUERY.fullmatch(query):
        raise Refused(
            400, "malformed", "the path must be plain: no encoding, no dot segments, no authority", close=True
        )
    return path


def _draining() -> Refused:
    message = "claude-proxy is shutting down and takes no new requests; it will be back in a moment"
    return Refused(503, "draining", message, headers=(("retry-after", "1"), ("x-should-retry", "true")), close=True)


async def _landing(request: BaseRequest) -> Response:
    """What a client's warm-up call and a person with a browser get."""
    if request.raw_path.startswith("/api/"):
        return answer_json({"message": "hello"})
    return Response(
        text=f"claude-proxy {__version__}\n\n"
        "/health        how the daemon is\n/metrics       for Prometheus\n/openapi.yaml  the API\n",
        headers={"Server": SERVER},
    )


async def _not_this_api(_: BaseRequest) -> Response:
    raise Refused(400, "wrong_api", "OpenAI's Chat Completions is not served here; use POST /v1/messages")
