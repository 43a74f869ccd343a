"""Who may look at what is recorded, and who may throw it away: conversations are nobody else's business."""

import base64
import binascii
import hmac

from aiohttp.web_request import BaseRequest

from claude_proxy.web.errors import Refused

PREFIX = "/api/"
_FOR_ALL = frozenset({"/api/hello"})  # what Claude Code asks first
_READS = frozenset({"GET", "HEAD"})
BY_A_SCRIPT = "X-Requested-With"

# A browser asks the user for it, and sends it with each request to the same host and port (RFC 7617).
_CHALLENGE = (("WWW-Authenticate", 'Basic realm="claude-proxy", charset="UTF-8"'),)


def is_private(path: str) -> bool:
    """Whether what is recorded can be seen there."""
    return path.startswith(PREFIX) and path not in _FOR_ALL


def check_password(request: BaseRequest, password: bytes) -> None:
    """Raises Refused where the request does not bring the password, by HTTP Basic and whatever name."""
    offered = [_basic(value) for value in request.headers.getall("Authorization", [])]
    # Every offer is compared, in constant time each: how many there are is no secret.
    right = [hmac.compare_digest(value, password) for value in offered if value is not None]
    if not any(right):
        message = (
            "this is behind the dashboard's password (access.dashboard_password): send it by HTTP Basic, "
            "for instance curl --user :PASSWORD"
        )
        raise Refused(401, "password", message, headers=_CHALLENGE)


def check_origin_of_write(request: BaseRequest) -> None:
    """Raises Refused for a change that the page of another site could have had a browser ask for.

    Guard has refused those that say so. A browser of old says nothing; but it lets no page of another site set a
    header of its own choice, nor leaves `Origin` out where it knows it.
    """
    headers = request.headers
    shown = headers.get("Sec-Fetch-Site", "").lower() == "same-origin" or "Origin" in headers or BY_A_SCRIPT in headers
    if request.method not in _READS and not shown:
        message = f"a change must show that no other site's page asks for it: send {BY_A_SCRIPT}: curl, or whatever"
        raise Refused(403, "cross_site", message)


def _basic(value: str) -> bytes | None:
    """The password of an `Authorization: Basic …`, None where it is none."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return None
