"""Who may come in: which Host, which Origin, with which token.

A browser that a foreign page drives must not reach this port (DNS rebinding, cross-site requests), and whoever
is not on this machine needs the access token.
"""

import hmac
import ipaddress
from functools import lru_cache

import msgspec
from aiohttp.web_request import BaseRequest

from claude_proxy.web.errors import Refused
from claude_proxy.web.privacy import check_origin_of_write, check_password, is_private
from claude_proxy.wire.headers import TOKEN_HEADER, bearer, canonical

_OPEN_PATHS = frozenset({"/health", "/livez", "/metrics", "/openapi.json", "/openapi.yaml"})
_ANY_ORIGIN = frozenset({"/health", "/livez"})


class AccessSettings(msgspec.Struct, frozen=True):
    """Who may use the proxy.

    `allowed_hosts` without a port mean the port that the daemon listens on. `token` is the proxy's own access
    token, "" where none is asked for; besides `x-claude-proxy-token` it is taken from `Authorization` and from
    `header`. `trusted_networks` are peers that count as this machine, for containers. `dashboard_password`, where it
    is not "", opens what is recorded, and nothing else does then.
    """

    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    enabled: bool = True
    token: str = ""
    header: str = "x-api-key"
    localhost_bypass: bool = False
    trust_proxy: bool = False
    trusted_networks: tuple[str, ...] = ()
    dashboard_password: str = ""

    def __repr__(self) -> str:
        return "AccessSettings(…)"

    @property
    def carried_in(self) -> str:
        """The header that may carry the token and nothing else, so that it is never forwarded; "" for none."""
        return "" if canonical(self.header) in {"x-api-key", "authorization"} else self.header


class Guard:
    """Decides on each request before anything else is done with it."""

    def __init__(self, settings: AccessSettings, port: int) -> None:
        self._settings = settings
        self._hosts = frozenset(name for host in settings.allowed_hosts for name in _names(host.lower(), port))
        self._token = settings.token.encode() if settings.enabled else b""
        self._password = settings.dashboard_password.encode()
        self._networks = tuple(ipaddress.ip_network(network) for network in settings.trusted_networks)

    def admit(self, request: BaseRequest, path: str) -> None:
        """Raises Refused, with the reason, where the request may not come in."""
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts:
            raise Refused(
                421,
                "misdirected",
                "this Host is not served here; use the address that claude-proxy listens on, "
                "or add the name to access.allowed_hosts",
                close=True,
            )
        if path not in _ANY_ORIGIN:
            self._check_origin(request)
        private = is_private(path)
        if private and self._password:
            # Instead of the token, which a browser cannot send; and who may spend need not read what others asked.
            check_password(request, self._password)
        elif self._token and path not in _OPEN_PATHS:
            self._check_token(request)
        if private:
            check_origin_of_write(request)

    def _check_origin(self, request: BaseRequest) -> None:
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self._hosts:
            raise Refused(403, "cross_site", "requests from the pages of other sites are refused (Origin)")
        if request.headers.get("Sec-Fetch-Site", "none").lower() not in {"none", "same-origin"}:
            raise Refused(403, "cross_site", "requests from the pages of other sites are refused (Sec-Fetch-Site)")

    def _check_token(self, request: BaseRequest) -> None:
        settings = self._settings
        if settings.localhost_bypass and not settings.trust_proxy and self.is_local(request):
            return
        carriers = {TOKEN_HEADER, canonical(settings.header)}
        offered = [value for name, value in request.headers.items() if canonical(name) in carriers]
        offered += [bearer(value) or "" for value in request.headers.getall("Authorization", [])]
        # Every offer is compared, in constant time each: how many there are is no secret.
        right = [
            hmac.compare_digest(value.strip().encode("utf-8", "surrogateescape"), self._token) for value in offered
        ]
        if not any(right):
            # Not 401: that would make Claude Code renew its own login, which is not what is missing.
            raise Refused(
                403,
                "access_token",
                f"this proxy asks for its access token; send it in {TOKEN_HEADER}, for Claude Code by "
                f"ANTHROPIC_CUSTOM_HEADERS='{TOKEN_HEADER}: …'",
            )

    def is_local(self, request: BaseRequest) -> bool:
        """Whether the peer is this machine, or in a network that was configured as such."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if not peer:
            return False
        if self._networks and any(_address(peer[0]) in network for network in self._networks):
            return True
        return _is_loopback(peer[0]) and not self._settings.trust_proxy


@lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """A peer's address; parsing it anew for each request would cost as much as all other checks."""
    address = ipaddress.ip_address(text.partition("%")[0])
    # A socket that listens on both names IPv4 peers so: ::ffff:127.0.0.1
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=256)
def _is_loopback(text: str) -> bool:
    return _address(text).is_loopback


def _names(host: str, port: int) -> tuple[str, ...]:
    """A host with its port, and without where clients leave it out: it is that of the scheme (RFC 9110 4.2)."""
    named = _with_port(host, port)
    bare, _, number = named.rpartition(":")
    return (named, bare) if number in {"80", "443"} else (named,)


def _with_port(host: str, port: int) -> str:
    """As a Host header says it: IPv6 addresses stand in brackets (RFC 3986 3.2.2)."""
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    has_port = "]:" in host or (host.count(":") == 1 and host.rpartition(":")[2].isdigit())
    return host if has_port else f"{host}:{port}"
