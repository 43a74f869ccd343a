"""Where the daemon listens, and whether a URL leads there.

The configuration is looked at only where there is one, and only for this: a fault elsewhere in it, or in all of it,
must not keep anybody from switching off.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from claude_proxy.config.address import DEFAULT_HOST, DEFAULT_PORT
from claude_proxy.toggle.refusals import AddressUnknown

_SETTINGS = ("CLAUDE_PROXY_LISTEN", "PORT", "SERVER_HOST")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - asked for, not bound


class Address(NamedTuple):
    """Where the daemon listens. `complaint` says why the configuration could not tell; then it is the default."""

    url: str
    complaint: str = ""


def configured(file: Path, environment: Mapping[str, str], *, required: bool = False) -> Address:
    """As the configuration says. `required`: a file that is missing is a complaint."""
    if not required and not file.exists() and not any(name.startswith(_SETTINGS) for name in environment):
        return Address(url_of(DEFAULT_HOST, DEFAULT_PORT))
    # Imported only where there is something to read: YAML costs 25 ms.
    from claude_proxy.toggle.listen import read_listen

    host, port, complaint = read_listen(file, environment, DEFAULT_HOST, DEFAULT_PORT, required=required)
    return Address(url_of(host, port or DEFAULT_PORT), complaint)


def url_of(host: str, port: int) -> str:
    """The URL under which this machine reaches the daemon."""
    host = _EVERYWHERE.get(host.strip("[]"), host)
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"


def given(url: str) -> str:
    """A URL that the user gave, in the form that Claude Code is given it. Raises AddressUnknown."""
    split = _split(url)
    if split is None or not is_loopback(split.hostname or "") or split.scheme != "http" or split.path not in {"", "/"}:
        raise AddressUnknown(
            f"{shown(url)} is not an address of a daemon on this machine; give it as http://127.0.0.1:{DEFAULT_PORT}"
        )
    return url.rstrip("/")


def same(one: str, other: str) -> bool:
    """Whether two URLs lead to the same port of this machine, or are equal."""
    if one == other:
        return True
    first, second = _split(one), _split(other)
    if first is None or second is None or first.scheme != second.scheme:
        return False
    hosts = (first.hostname or "", second.hostname or "")
    at_home = all(is_loopback(host) for host in hosts) or hosts[0] == hosts[1]
    bare = {first.path, second.path} <= {"", "/"} and not (first.query or second.query)
    return at_home and bare and _port(first) == _port(second)


def host_and_port(url: str) -> tuple[str, int]:
    split = urlsplit(url)
    return split.hostname or "", _port(split)


def netloc(url: str) -> str:
    """`127.0.0.1:8082`, for a person."""
    return urlsplit(url).netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    split = _split(url)
    if split is None:
        return "(not a URL)"
    user = "…@" if "@" in split.netloc else ""
    query = "?…" if split.query or split.fragment else ""
    return f"{split.scheme}://{user}{netloc(url)}{split.path}{query}"


def is_anthropic(url: str) -> bool:
    """Whether a base URL is Anthropic's own, which is what Claude Code uses without one."""
    split = _split(url)
    return split is not None and split.hostname == "api.anthropic.com"


def is_here(url: str) -> bool:
    """Whether a URL is of this machine."""
    split = _split(url)
    return split is not None and is_loopback(split.hostname or "")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult | None:
    try:
        split = urlsplit(url)
        possible = split.port is None or split.port > 0
    except ValueError:
        return None
    return split if possible and split.scheme in {"http", "https"} and split.hostname else None


def _port(split: SplitResult) -> int:
    return split.port or (443 if split.scheme == "https" else 80)
