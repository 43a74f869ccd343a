"""The sections of the configuration, each read into the settings of its room."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from claude_proxy.config.reader import Reader
from claude_proxy.config.settings import (
    CredentialSettings,
    ListenSettings,
    LogSettings,
    RouteSettings,
    TargetSettings,
    UpstreamSettings,
)
from claude_proxy.config.tree import Complaint, quoted
from claude_proxy.credentials.credential import Scheme
from claude_proxy.credentials.refresh import COMMAND, RefreshSettings
from claude_proxy.credentials.spelling import is_login_source
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.route import Match
from claude_proxy.upstreams.slots import SlotSettings
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.upstreams.upstream import CountTokens
from claude_proxy.web.guard import AccessSettings
from claude_proxy.web.protocol import LimitSettings
from claude_proxy.wire.messages import Background

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_KEYS = ("api_key", "auth_token", "key", "password", "secret", "token")
_SECRETS_HINT = dict.fromkeys(
    _SECRET_KEYS, "secrets are named under `credentials`, as env:NAME, file:PATH or keyring:NAME"
)
_SCHEMES = {"bearer": Scheme.BEARER, "x-api-key": Scheme.API_KEY}
_ANTHROPIC_HOSTS = frozenset({"api.anthropic.com"})
DIALECTS = ("anthropic", "compatible", "minimax")


def listen(reader: Reader, *, may_leave_loopback: bool) -> ListenSettings:
    settings = ListenSettings(reader.text("host", "127.0.0.1"), reader.integer("port", 0, 65535))
    reader.finish()
    if not may_leave_loopback and not is_loopback(settings.host):
        reader.complain(
            "host",
            f"{settings.host} can be reached from other machines, and nothing keeps them out; set AUTH_TOKEN "
            "(access.token), or access.trust_proxy: true behind a reverse proxy that does, or listen on 127.0.0.1",
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def log(reader: Reader) -> LogSettings:
    settings = LogSettings(
        reader.choice("level", ("debug", "info", "warning", "error"), "info"),
        reader.choice("format", ("key-value", "json"), "key-value"),
    )
    reader.finish()
    return settings


def access(reader: Reader, environment: Mapping[str, str]) -> AccessSettings:
    networks = reader.texts("trusted_networks")
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            reader.complain("trusted_networks", f"expected networks such as 172.18.0.0/16, found {network!r}")
            networks = ()
            break
    hosts = reader.texts("allowed_hosts")
    if public := reader.text("public_url"):
        split = _split(public)
        if split is None:
            reader.complain("public_url", "expected a URL such as https://proxy.example")
        else:
            hosts = (
                *hosts,
                split.netloc if split.port else f"{split.netloc}:{443 if split.scheme == 'https' else 80}",
            )
            hosts = (*hosts, split.netloc)
    settings = AccessSettings(
        allowed_hosts=hosts,
        enabled=reader.boolean("enabled", default=True),
        token=secret(reader, "token", environment),
        header=reader.text("header", "x-api-key"),
        localhost_bypass=reader.boolean("localhost_bypass"),
        trust_proxy=reader.boolean("trust_proxy"),
        trusted_networks=networks,
        dashboard_password=secret(reader, "dashboard_password", environment),
    )
    reader.finish()
    return settings


def secret(reader: Reader, key: str, environment: Mapping[str, str], *, empty: str = "") -> str:
    """The secret that a reference names, or "". `empty` is what is said of a file with nothing in it."""
    value = reader.get(key)
    if value is None:
        return ""
    if not isinstance(value, dict):
        reader.complain(key, "expected a reference, { env: NAME } or { file: PATH }: secrets never stand in the file")
        return ""
    inner = reader.section(key)
    variable, path = inner.text("env"), inner.text("file")
    inner.finish()
    if path:
        try:
            if text := Path(path).expanduser().read_text().strip():
                return text
            left = f"is empty, and without a {key.rpartition('_')[2]} whoever can reach the port could use it"
            inner.complain("file", empty or left)
        except (OSError, UnicodeDecodeError) as error:
            inner.complain("file", f"could not be read: {getattr(error, 'strerror', None) or 'not text'}")
    if variable:
        _check_variable(inner, "env", variable)
    return environment.get(variable, "").strip() if variable else ""


def _check_variable(reader: Reader, key: str, name: str) -> None:
    """Complains of what no shell could set; it may be the secret itself, and would stand in /health."""
    if not _VARIABLE.fullmatch(name):
        reader.complain(key, "expected the name of a variable behind env, of letters, digits and underscores")


def limits(reader: Reader) -> LimitSettings:
    settings = LimitSettings(
        max_body=reader.size("max_body", 1024),
        max_header=reader.size("max_header", 8192),
        head_timeout=reader.duration("head_timeout"),
        body_timeout=reader.duration("body_timeout"),
        idle_timeout=reader.duration("idle_timeout"),
    )
    reader.finish()
    return settings


def credential(reader: Reader, name: str) -> CredentialSettings:
    sources = reader.texts("sources")
    for source in sources:
        kind, _, rest = source.partition(":")
        if not (source in {"client", "keychain", "file"} or (kind in {"env", "file", "keyring"} and rest)):
            reader.complain(
                "sources",
                f"expected client, keychain, file, env:NAME, file:PATH or keyring:NAME, found {quoted(source)}",
            )
        if kind == "env" and rest:
            _check_variable(reader, "sources", rest)
    settings = CredentialSettings(
        name, sources, reader.duration("cache_ttl", 300.0), reader.duration("read_timeout", 5.0), _refresh(reader)
    )
    reader.finish(_SECRETS_HINT)
    return settings


def _refresh(reader: Reader) -> RefreshSettings:
    refresh = reader.choice("refresh", ("delegate", "never"), "delegate")
    command = reader.texts("refresh_command")
    if reader.get("refresh_command") is not None and not (command and command[0].strip()):
        reader.complain("refresh_command", "expected a program and its arguments, such as [my-claude, -p, /cost]")
    return RefreshSettings(refresh == "delegate", command or COMMAND, reader.duration("refresh_timeout", 30.0))


def transport(reader: Reader, ground: TransportSettings | None = None, *, alone: bool = True) -> TransportSettings:
    ground = ground or TransportSettings()
    settings = TransportSettings(
        connect_timeout=reader.duration("connect_timeout", ground.connect_timeout),
        header_timeout=reader.duration("header_timeout", ground.header_timeout),
        stream_idle_timeout=reader.duration("stream_idle_timeout", ground.stream_idle_timeout),
        demote_nonstreaming=reader.boolean("demote_nonstreaming", default=ground.demote_nonstreaming),
        egress=ground.egress,
    )
    if alone:
        reader.finish()
    return settings


def upstream(
    reader: Reader, name: str, ground: TransportSettings, credentials: Mapping[str, CredentialSettings]
) -> UpstreamSettings:
    reader.text("preset")
    dialect = reader.choice("dialect", DIALECTS, "compatible")
    named = reader.text("credential") or None
    if named is not None and named not in credentials:
        reader.complain("credential", f"there is no credential {quoted(named)}; known: {', '.join(credentials)}")
        named = None
    count = reader.choice(
        "count_tokens", [str(way) for way in CountTokens], "pass" if dialect == "anthropic" else "estimate"
    )
    auth = reader.choice("auth", _SCHEMES, "") if reader.get("auth") is not None else ""
    settings = UpstreamSettings(
        name=name,
        base_url=_base_url(reader),
        credential=named,
        dialect=dialect,
        auth=_SCHEMES.get(auth),
        count_tokens=CountTokens(count),
        cache_control=reader.boolean("cache_control", default=dialect == "minimax"),
        context_window=reader.integer(
            "context_window", 1000, 100_000_000, 204_800 if dialect == "minimax" else 200_000
        ),
        transport=transport(reader, ground, alone=False),
        slots=SlotSettings(
            max_concurrency=reader.integer("max_concurrency", 0, 10_000, 0 if dialect == "anthropic" else 5),
            max_queue=reader.integer("max_queue", 0, 10_000, 100),
            queue_timeout=reader.duration("queue_timeout", 30.0),
        ),
        plan=reader.boolean("plan"),
    )
    reader.finish(_SECRETS_HINT)
    known = reader.get("dialect") in (None, *DIALECTS)
    if known and dialect != "anthropic" and reader.get("demote_nonstreaming") is True:
        reader.complain("demote_nonstreaming", "works with the dialect anthropic alone; leave it out here")
    if known and named is not None:
        _keep_login_at_home(reader, settings, credentials[named])
    return settings


def _base_url(reader: Reader) -> str:
    text = reader.text("base_url").rstrip("/")
    split = _split(text)
    if split is None or split.query or split.fragment:
        reader.complain("base_url", "expected a URL such as https://api.example.com/anthropic, without query")
        return "http://invalid.invalid"
    if split.username is not None or split.password is not None:
        reader.complain("base_url", "expected a URL without user or password; keys are named under `credentials`")
    return text


def _split(url: str) -> SplitResult | None:
    """The parts of an http URL with a host and a possible port, or None."""
    try:
        split = urlsplit(url)
        possible = split.port is None or split.port > 0
    except ValueError:
        return None
    return split if possible and split.scheme in {"http", "https"} and split.hostname else None


def name_complaint(reader: Reader, name: str) -> None:
    """Complains of a name that could stand neither in a header nor in a log line."""
    if not _NAME.fullmatch(name):
        place = reader.node.keys.get(name, reader.node.place)
        message = "expected a name of letters, digits, dots, dashes and underscores"
        reader.complaints.append(Complaint(place, f"{reader.path}.{name!r}", message))


def takes_login(dialect: str, base_url: str) -> bool:
    """Whether a Claude login may be sent there: to Anthropic itself, or to this machine."""
    split = urlsplit(base_url)
    host = split.hostname or ""
    at_home = is_loopback(host) or (host in _ANTHROPIC_HOSTS and split.scheme == "https")
    return dialect == "anthropic" and at_home


def _keep_login_at_home(reader: Reader, settings: UpstreamSettings, named: CredentialSettings) -> None:
    """A Claude login goes to Anthropic or to this machine, and nowhere else."""
    logins = [source for source in named.sources if is_login_source(source)]
    if not logins:
        return
    if settings.dialect != "anthropic":
        reader.complain(
            "credential",
            f"{named.name!r} has the source {logins[0]}, a Claude login, which is never sent to another provider; "
            "give this upstream a credential of its own",
        )
    elif not takes_login(settings.dialect, settings.base_url):
        reader.complain(
            "base_url",
            f"{named.name!r} has the source {logins[0]}, a Claude login, which is only sent to "
            "https://api.anthropic.com or to this machine; for another gateway use a credential with a key of its own",
        )


def route(reader: Reader, upstreams: Mapping[str, UpstreamSettings]) -> RouteSettings:
    model = reader.text("model") or None
    agent = reader.choice("agent", ("main", "sub"), "") if reader.get("agent") is not None else None
    background = None
    if reader.get("background") is not None:
        background = Background(reader.choice("background", [str(kind) for kind in Background], "title"))
    targets = []
    for target in reader.items("to"):
        name = target.text("upstream")
        if name not in upstreams:
            target.complain("upstream", f"there is no upstream {name!r}; known: {', '.join(upstreams)}")
        else:
            targets.append(TargetSettings(name, target.text("model") or None))
        target.get("model")
        target.finish()
    if reader.get("to") == []:
        reader.complain("to", "expected at least one target")
    reader.finish()
    return RouteSettings(Match(model, agent, background), tuple(targets))


def retry(reader: Reader) -> RetrySettings:
    settings = RetrySettings(
        first_wait=reader.duration("first_wait"),
        max_wait=reader.duration("max_wait"),
        max_elapsed=reader.duration("max_elapsed"),
        max_retries=reader.integer("max_retries", 0, 100),
    )
    reader.finish()
    return settings


def breaker(reader: Reader) -> BreakerSettings:
    settings = BreakerSettings(
        failures=reader.integer("failures", 1, 1000),
        cooldown=reader.duration("cooldown"),
        max_cooldown=reader.duration("max_cooldown"),
    )
    reader.finish()
    return settings
