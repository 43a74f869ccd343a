"""What Anthropic says of the login in use: its profile and its usage, asked once each. A login goes nowhere else.

`GET /api/oauth/profile` and `GET /api/oauth/usage` are what Claude Code itself asks (seen with 2.1.197). We ask
under our own name.
"""

import asyncio
import contextlib
import http.client
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click

from claude_proxy import __version__
from claude_proxy.commands.standing import API_KEY, LoginStanding
from claude_proxy.config.sections import takes_login
from claude_proxy.config.settings import CredentialSettings, Settings
from claude_proxy.credentials.credential import OAUTH_BETA, Credential, CredentialUnavailable
from claude_proxy.credentials.spelling import SETUP_TOKEN
from claude_proxy.supplies import source_named
from claude_proxy.upstreams.egress import Egress, trusting

_PATIENCE = 10.0  # seconds for one answer
_LARGEST = 1 << 20  # bytes of one
_LONGEST_MESSAGE = 300


def way_to(base_url: str, settings: Settings) -> Egress | None:
    """The way out by which the daemon reaches this URL, None for the plain one."""
    ways = [its.transport.egress for its in settings.upstreams.values() if its.base_url == base_url.rstrip("/")]
    return ways[0] if ways else None


def probe_logins(
    logins: Sequence[LoginStanding], base_url: str, environment: Mapping[str, str], egress: Egress | None = None
) -> None:
    """Asks for each login and notes the answers in its `probe`. Raises click.UsageError for any other host."""
    if not takes_login("anthropic", base_url):
        raise click.UsageError("a Claude login is only sent to https://api.anthropic.com or to this machine")
    for login in logins:
        login.probe = _probe(login, base_url.rstrip("/"), environment, egress or Egress())


def _probe(login: LoginStanding, base_url: str, environment: Mapping[str, str], egress: Egress) -> dict[str, Any]:
    if egress.proxy.startswith("https:"):
        return {"problem": f"not asked: the proxy {egress.proxy} is reached over TLS, which this command cannot do"}
    if login.kind == API_KEY:
        return {"problem": "not asked: an API key is in use, and profile and usage are those of logins"}
    try:
        credential = asyncio.run(_credential(login, environment))
    except CredentialUnavailable as error:
        return {"problem": f"not asked: {error}"}
    if credential is None:
        return {"problem": "not asked: this command finds no login"}
    if credential.expires_at is not None and credential.expires_at <= time.time():
        return {"problem": "not asked: the stored login has expired; run `claude` once, which renews it"}
    profile = _ask(base_url, "/api/oauth/profile", credential, egress)
    usage = _ask(base_url, "/api/oauth/usage", credential, egress)
    if login.kind == SETUP_TOKEN and usage["status"] in {401, 403}:
        usage["message"] = f"refused, as it is for every setup-token ({usage['message']})"
    # A setup-token may ask models and nothing else: that it is forbidden to ask here says nothing of it.
    refusals = {401} if login.kind == SETUP_TOKEN else {401, 403}
    return {
        "base_url": base_url,
        "refused": profile["status"] in refusals,
        "profile": _profile(profile),
        "usage": _usage(usage),
    }


async def _credential(login: LoginStanding, environment: Mapping[str, str]) -> Credential | None:
    """The login itself, from where it is said to lie. Raises CredentialUnavailable."""
    own = ("keychain", "file") if sys.platform == "darwin" else ("file",)
    names = own if login.source == "client" else (login.source,) if login.source else ()
    complaint: CredentialUnavailable | None = None
    for name in names:
        try:
            found = await source_named(name, CredentialSettings("probe", names, 0.0, 5.0), environment).read()
        except CredentialUnavailable as error:
            complaint = error
            continue
        if found is not None:
            return found
    if complaint is not None:
        raise complaint
    return None


def _connection(split: SplitResult, egress: Egress) -> http.client.HTTPConnection:
    """Plain http is for this machine alone, and without a proxy."""
    host = split.hostname or ""
    if split.scheme != "https":
        return http.client.HTTPConnection(host, split.port, timeout=_PATIENCE)
    context = trusting(egress.authorities)
    if not egress.proxy:
        return http.client.HTTPSConnection(host, split.port, timeout=_PATIENCE, context=context)
    proxy = urlsplit(egress.proxy)
    through = http.client.HTTPSConnection(proxy.hostname or "", proxy.port or 80, timeout=_PATIENCE, context=context)
    login = egress.proxy_authorization
    through.set_tunnel(host, split.port or 443, {} if login is None else {"Proxy-Authorization": login})
    return through


def _ask(base_url: str, path: str, credential: Credential, egress: Egress) -> dict[str, Any]:
    """`status` (None where no answer came), then `body`, or `message` and `retry_after`; the token is in none."""
    split = urlsplit(base_url)
    connection = _connection(split, egress)
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": f"Bearer {credential.secret}",
        "User-Agent": f"claude-proxy/{__version__}",
        "anthropic-beta": OAUTH_BETA,
    }
    try:
        connection.request("GET", split.path + path, headers=headers)
        answer = connection.getresponse()
        text = answer.read(_LARGEST).decode(errors="replace").replace(credential.secret, "[redacted]")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if status := re.match(r"Tunnel connection failed: (\d+)", str(error)):
            reason = f"it answered CONNECT with {status[1]}"
        through = f" through the proxy {egress.proxy}" if egress.proxy else ""
        return {"status": None, "message": f"{split.netloc} did not answer{through}: {reason}"}
    finally:
        connection.close()
    body: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(text)
    if answer.status == 200 and isinstance(body, dict):
        return {"status": 200, "body": body}
    return {
        "status": answer.status if answer.status != 200 else None,
        "message": f"HTTP {answer.status}: {_message(body)}"[:_LONGEST_MESSAGE],
        "retry_after": _seconds(answer.headers.get("retry-after")),
    }


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "without a message"


def _seconds(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def _profile(said: dict[str, Any]) -> dict[str, Any]:
    body = said.pop("body", None)
    return said if body is None else {**said, **{key: _plain(body.get(key)) for key in ("account", "organization")}}


def _usage(said: dict[str, Any]) -> dict[str, Any]:
    """Every window that is stated, by its name, whichever there are; the rest as it came."""
    body = said.pop("body", None)
    if body is None:
        return said
    windows = {
        name: _plain(value) for name, value in body.items() if isinstance(value, dict) and "utilization" in value
    }
    windows.pop("extra_usage", None)
    return {**said, "windows": windows, "extra_usage": _plain(body.get("extra_usage")), "limits": body.get("limits")}


def _plain(value: Any) -> dict[str, Any] | None:
    """The single values of a mapping."""
    if not isinstance(value, dict):
        return None
    return {key: inner for key, inner in value.items() if inner is None or isinstance(inner, (str, int, float))}
