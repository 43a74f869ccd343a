"""The request that goes out: what is dropped, what is edited, who it claims to be."""

from claude_proxy import __version__
from claude_proxy.credentials.credential import Credential
from claude_proxy.credentials.pass_through import drop_sentinels
from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.upstreams.route import Target
from claude_proxy.upstreams.transport import Outbound
from claude_proxy.wire.headers import without
from claude_proxy.wire.messages import ClientRequest

_STRANGERS_SEE = (("User-Agent", f"claude-proxy/{__version__}"), ("Accept-Encoding", "identity"))


def outbound(request: ClientRequest, target: Target, credential: Credential | None, access_header: str) -> Outbound:
    """The request as this target gets it."""
    upstream = target.upstream
    dialect = upstream.dialect
    headers = dialect.headers(request.headers, access_header)
    asked = request.as_stream() if upstream.demotes(request) else request
    try:
        body = dialect.request(asked, target.model)
    except RecursionError:
        raise AttemptFailed(
            Failure(FailureKind.INVALID_REQUEST, "the body is nested too deeply to be rewritten", upstream.name)
        ) from None
    if dialect.native:
        headers = drop_sentinels(headers, upstream.sentinels)
        if not upstream.pass_through:
            headers = without(headers, "authorization", "x-api-key")
        if body is not request.body:
            headers = without(headers, "content-encoding")
        # What is read is what is relayed: no coding on the way down.
        headers = (*headers, ("Accept-Encoding", "identity"))
    else:
        headers = (*headers, *_STRANGERS_SEE)
    if credential is not None:
        headers = credential.apply(headers)
    return Outbound(request.method, upstream.base_url + dialect.target(request), headers, body)
