"""The way out to an upstream where it is not the plain one: through a proxy, or with more authorities to be trusted.

An https upstream is reached by CONNECT: the proxy sees its name and nothing that is said. Of a plain http one it sees
everything, so the configuration lets no credential go that way.
"""

import base64
import ssl
from urllib.parse import urlsplit

import aiohttp
import msgspec


class Egress(msgspec.Struct, frozen=True):
    """`proxy` is `http://host:port` or `https://host:port`, "" for none; `proxy_login` is `user:password` for it.

    `proxy_setting` names the setting or variable that `proxy` is from. `authorities` are certificates in PEM form,
    which are trusted besides the system's, `ca_bundle` the file that they are from.
    """

    proxy: str = ""
    proxy_login: str = ""
    proxy_setting: str = ""
    ca_bundle: str = ""
    authorities: str = ""

    def __repr__(self) -> str:
        return f"Egress({self})"

    @property
    def proxy_authorization(self) -> str | None:
        """The header's value for the proxy (RFC 7617), None where it asks for none."""
        login = self.proxy_login.encode()
        return f"Basic {base64.b64encode(login).decode()}" if login else None

    def __str__(self) -> str:
        """In words, without any secret."""
        ways = [f"through the proxy {self.proxy} ({self.proxy_setting})"] if self.proxy else []
        ways += [f"trusting {self.ca_bundle} besides the system's authorities"] if self.ca_bundle else []
        return ", ".join(ways)


class NoWayThrough(aiohttp.ClientConnectionError):
    """The proxy was not reached, or does not let us through. Nothing has been said to the upstream."""


def trusting(authorities: str) -> ssl.SSLContext:
    """A client's TLS that verifies as the default one does, and trusts these too. Reads the system's: 20 ms.

    Raises ssl.SSLError where they are no certificates.
    """
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context


def blamed(error: aiohttp.ClientError, egress: Egress) -> aiohttp.ClientError:
    """What went wrong before there was a connection, as the proxy's fault where it is that."""
    match error:
        case aiohttp.ClientHttpProxyError(status=407):
            wants = "it does not take the login of proxy_auth" if egress.proxy_login else "it asks for a login"
            return NoWayThrough(f"{wants} (407)")
        case aiohttp.ClientHttpProxyError():
            return NoWayThrough(f"it answered CONNECT with {error.status}")
        case aiohttp.ClientResponseError():
            return NoWayThrough("it gave no valid answer to CONNECT")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() if not _of_a_connector(error):
            return NoWayThrough("it closed the connection without an answer")
        case aiohttp.ClientConnectorDNSError() if _is_of(error.host, error.port, egress):
            return NoWayThrough("its host name could not be resolved")
        case aiohttp.ClientConnectorCertificateError() if _is_of(error.host, error.port, egress):
            return NoWayThrough(f"its certificate is not trusted ({error.certificate_error})")
        case aiohttp.ClientConnectorSSLError() if _is_of(error.host, error.port, egress):
            return NoWayThrough("the TLS handshake with it failed")
        case aiohttp.ClientProxyConnectionError():
            return NoWayThrough(error.strerror or "the connection was refused")
    return error


def _of_a_connector(error: aiohttp.ClientError) -> bool:
    return isinstance(error, aiohttp.ClientConnectorError)


def _is_of(host: str, port: int | None, egress: Egress) -> bool:
    split = urlsplit(egress.proxy)
    return (host, port) == (split.hostname, split.port or (443 if split.scheme == "https" else 80))
