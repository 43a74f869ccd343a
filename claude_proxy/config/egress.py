"""How each upstream is reached: which proxy is between, and which authorities are trusted besides the system's."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from claude_proxy.config.reader import Reader
from claude_proxy.config.sections import is_loopback, secret
from claude_proxy.credentials.regular_file import FileRefused, read_regular
from claude_proxy.upstreams.egress import Egress

_DIRECT = "direct"
_LARGEST = 8 << 20  # bytes of a bundle; a whole system's has a quarter of one MiB
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


class _Proxy(msgspec.Struct, frozen=True):
    """`url` is "" where none is used, and that is said; `setting` says where."""

    url: str
    login: str
    setting: str


class Ground(msgspec.Struct, frozen=True):
    """What holds for every upstream that says nothing of its own."""

    proxy: _Proxy | None
    ca_bundle: str
    authorities: str
    trust_env: bool


def ground(reader: Reader, environment: Mapping[str, str]) -> Ground:
    """Of the section `transport`."""
    ca_bundle, authorities = _bundle(reader)
    return Ground(_proxy(reader, environment), ca_bundle, authorities, reader.boolean("trust_env"))


def egress(reader: Reader, general: Ground, environment: Mapping[str, str]) -> Egress | None:
    """Of one upstream; None where nothing is said of it.

    A loopback address is reached through no proxy: behind one it would be another machine.
    """
    ca_bundle, authorities = _bundle(reader)
    if not ca_bundle:
        ca_bundle, authorities = general.ca_bundle, general.authorities
    own = _proxy(reader, environment)
    where = _parts(str(reader.get("base_url") or ""))
    at_home = where is not None and is_loopback(where.hostname or "")
    if own is not None and own.url and at_home:
        reader.complain("proxy", "base_url is this machine, and behind a proxy another one would answer; leave it out")
    proxy = own
    if own is None and where is not None and not at_home:
        proxy = general.proxy
        if proxy is None and general.trust_env:
            proxy = _of_environment(reader, where, environment)
    elif own is not None and not own.login and general.proxy is not None and own.url == general.proxy.url:
        proxy = _Proxy(own.url, general.proxy.login, own.setting)
    if proxy is not None and proxy.url and where is not None and where.scheme == "http" and reader.get("credential"):
        reader.complain(
            "base_url",
            f"the proxy of {proxy.setting} would read the credential, since base_url is plain http; use https, "
            f"or `proxy: {_DIRECT}` here",
        )
    if proxy is None or not proxy.url:
        return Egress(ca_bundle=ca_bundle, authorities=authorities) if ca_bundle else None
    return Egress(proxy.url, proxy.login, proxy.setting, ca_bundle, authorities)


def _proxy(reader: Reader, environment: Mapping[str, str]) -> _Proxy | None:
    login = secret(reader, "proxy_auth", environment, empty="is empty; expected user:password")
    if login and ":" not in login:
        reader.complain("proxy_auth", "expected user:password where this points to")
    text = reader.text("proxy")
    if not text:
        return None
    setting = f"{reader.path}.proxy"
    if text == _DIRECT:
        return _Proxy("", "", setting)
    where = _parts(text)
    if where is not None and "@" in where.netloc:
        reader.complain(
            "proxy", "expected a URL without user or password; name them by proxy_auth: { env: NAME } or { file: PATH }"
        )
    elif where is None or where.path.strip("/") or where.query or where.fragment:
        reader.complain("proxy", f"expected http://host:port, https://host:port or {_DIRECT}; SOCKS is not spoken")
    else:
        return _Proxy(f"{where.scheme}://{where.netloc}", login, setting)
    return None


def _of_environment(reader: Reader, where: SplitResult, environment: Mapping[str, str]) -> _Proxy | None:
    """As `urllib.request` reads it: by the scheme of the upstream, lower case first."""
    name, text = _variable(f"{where.scheme}_proxy", environment)
    if not text or _is_bypassed(where, _variable("no_proxy", environment)[1]):
        return None
    found = _parts(text if "://" in text else f"http://{text}")
    if found is None:
        reader.complain(
            "proxy",
            f"the variable {name} is no http://host:port or https://host:port, and transport.trust_env has it used; "
            f"mend it, or say `proxy: {_DIRECT}` here",
        )
        return None
    login, _, address = found.netloc.rpartition("@")
    user, _, password = login.partition(":")
    login = f"{unquote(user)}:{unquote(password)}" if login else ""
    return _Proxy(f"{found.scheme}://{address}", login, f"variable {name}")


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    name = name if name in environment else name.upper()
    return name, environment.get(name, "").strip()


def _is_bypassed(where: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host, a domain above it, or everything."""
    host = (where.hostname or "").lower()
    full = f"{host}:{where.port or (443 if where.scheme == 'https' else 80)}"
    named = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return no_proxy == "*" or any(
        name and (one == name or one.endswith(f".{name}")) for name in named for one in (host, full)
    )


def _parts(url: str) -> SplitResult | None:
    """The parts of an http URL with a host and a possible port, or None."""
    try:
        split = urlsplit(url)
        possible = split.port is None or split.port > 0
    except ValueError:
        return None
    return split if possible and split.scheme in {"http", "https"} and split.hostname else None


def _bundle(reader: Reader) -> tuple[str, str]:
    """The path of a file of certificates, and these alone, or two empty texts."""
    text = reader.text("ca_bundle")
    if not text:
        return "", ""
    path = Path(text).expanduser()
    try:
        if not path.is_absolute():
            raise FileRefused("expected an absolute path, or one below ~")
        read = read_regular(path, largest=_LARGEST)
        if read is None:
            raise FileRefused(f"there is no file {path}; name the PEM file of your company's authority")
        found = "\n".join(_CERTIFICATE.findall(read))
        if not found:
            raise FileRefused(f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except FileRefused as refused:
        reader.complain("ca_bundle", str(refused))
    except ssl.SSLError:
        reader.complain("ca_bundle", f"a certificate in {path} cannot be read; ask for the file anew")
    except UnicodeDecodeError:
        reader.complain("ca_bundle", f"{path} is not text; convert it: openssl x509 -inform der -in FILE -out NEW.pem")
    except OSError as error:
        reader.complain("ca_bundle", f"{path} cannot be read: {error.strerror}; let the daemon's user read it")
    else:
        return str(path), found
    return "", ""
