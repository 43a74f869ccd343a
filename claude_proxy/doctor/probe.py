"""With --probe: one real request to each upstream, through the daemon where a key of your own pays for it.

A Claude login is not lent to such a request, which does not come from Claude Code: with it only profile and usage are
asked, as `status --probe` does.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any

from claude_proxy import __version__
from claude_proxy.assembly import build_routes
from claude_proxy.commands.probe import probe_logins
from claude_proxy.commands.standing import API_KEY, login_kind
from claude_proxy.commands.status import how_it_stands
from claude_proxy.config.sections import takes_login
from claude_proxy.config.settings import Settings, UpstreamSettings
from claude_proxy.credentials.spelling import is_login_source
from claude_proxy.doctor.finding import Finding, Mark, fail, ok, skip, warn
from claude_proxy.doctor.whole_case import WholeCase
from claude_proxy.toggle.address import host_and_port
from claude_proxy.toggle.health import Health, mapping
from claude_proxy.wire.headers import TOKEN_HEADER
from claude_proxy.wire.members import BadBody
from claude_proxy.wire.messages import MESSAGES, ClientRequest

_PATIENCE = 60.0  # seconds; the daemon tries again where that is safe
_LARGEST = 1 << 20  # bytes of an answer


def answered(case: WholeCase) -> Iterator[Finding]:
    """One token from each upstream that a key of your own is for; profile and usage with a login."""
    settings = case.settings
    if not case.probing:
        yield skip("not asked for; --probe sends one request to each upstream, which your keys pay for")
    elif settings is None or not isinstance(case.health, Health):
        yield skip("nothing can be sent through a daemon that does not answer, or is configured wrongly")
    else:
        for name in case.routed():
            yield _asked(case, settings, name)._replace(of=name)


def _asked(case: WholeCase, settings: Settings, name: str) -> Finding:
    upstream = settings.upstreams[name]
    credential = upstream.credential
    if credential is not None and case.stands.get(credential) is not Mark.OK:
        return skip("its credential is missing or of no use")
    if credential is not None and not _is_own_key(case, settings, credential):
        return _ask_of_login(case, credential, upstream)
    model = model_for(settings, case, name)
    if model is None:
        return skip("no route asks it first, so no request can be sent to it alone")
    return _one_token(case, settings, name, model)


def _is_own_key(case: WholeCase, settings: Settings, credential: str) -> bool:
    """Whether what is used is a key that pays for each request, and no login of a plan."""
    if not any(is_login_source(source) for source in settings.credentials[credential].sources):
        return True
    told = mapping(mapping(case.body.get("credentials")).get(credential))
    source = told.get("source")
    return isinstance(source, str) and login_kind(source) == API_KEY


def _ask_of_login(case: WholeCase, credential: str, upstream: UpstreamSettings) -> Finding:
    if not takes_login("anthropic", upstream.base_url):
        return skip("a login is only sent to Anthropic")
    environment = dict(case.environment)
    logins = [login for login in how_it_stands(case.path, environment).logins if login.credential == credential]
    probe_logins(logins, upstream.base_url, environment, upstream.transport.egress)
    for login in logins:
        probe = login.probe or {}
        if "problem" in probe:
            return skip(f"no model was asked, since your login is not lent; profile and usage: {probe['problem']}")
        profile: dict[str, Any] = probe["profile"]
        if probe["refused"]:
            return fail(f"the login is refused: {profile.get('message')}", case.own("login"))
        if profile.get("status") != 200:
            return warn(f"the login's profile was not told: {profile.get('message')}", advice="try again later")
        return ok("profile and usage are told; no model was asked, since your login is not lent to this command")
    return skip("there is no login to ask with")


def model_for(settings: Settings, case: WholeCase, upstream: str) -> str | None:
    """A model's name that goes to this upstream first, None where there is none."""
    routes = build_routes(settings, case.environment, _discard)
    named = [route.match.model.replace("*", "") for route in settings.routes if route.match.model]
    for model in (*list(settings.models)[::-1], *named):
        try:
            request = ClientRequest.read("POST", MESSAGES, (), _body(model))
        except BadBody:
            continue
        if routes.decide(request).targets[0].upstream.name == upstream:
            return model
    return None


def _one_token(case: WholeCase, settings: Settings, upstream: str, model: str) -> Finding:
    host, port = host_and_port(case.routing.url)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"claude-proxy/{__version__}",
        "anthropic-version": "2023-06-01",
    }
    if settings.sentinels:
        headers["x-api-key"] = min(settings.sentinels)
    if settings.access.token:
        headers[TOKEN_HEADER] = settings.access.token
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("POST", MESSAGES, _body(model), headers)
        answer = connection.getresponse()
        text = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        return fail(
            f"the daemon gave no answer: {getattr(error, 'strerror', None) or type(error).__name__}", case.start()
        )
    finally:
        connection.close()
    by = answer.getheader("x-claude-proxy-upstream")
    if answer.status == 200 and by == upstream:
        return ok(f"{model} has answered with one token, which your key pays for")
    told = f"asked for {model}: HTTP {answer.status}" + (f" from {by}" if by else "")
    return fail(f"{told}: {_message(text)}", case.own(f"explain --model {model}"), "its text says what to mend")


def _body(model: str) -> bytes:
    return json.dumps({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}).encode()


def _message(text: bytes) -> str:
    try:
        said = mapping(mapping(json.loads(text)).get("error")).get("message")
    except (ValueError, RecursionError):
        said = None
    return str(said)[:300] if said else "without a message"


def _discard(_: str) -> None:
    """No credential is read here, so there is nothing to keep out of a log."""
