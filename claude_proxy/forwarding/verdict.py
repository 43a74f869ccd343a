"""What the credential decides of an attempt: which one is used, whose refusal it was, what its words may say."""

from msgspec.structs import replace

from claude_proxy.credentials.brought import brought_secrets
from claude_proxy.credentials.credential import (
    Credential,
    CredentialUnavailable,
    SubscriptionGuarded,
)
from claude_proxy.credentials.pass_through import brings_sentinel
from claude_proxy.credentials.spelling import SETUP_TOKEN_SOURCES
from claude_proxy.failures import AttemptFailed, Failure, FailureKind
from claude_proxy.logline import REDACTED, SHORTEST_SECRET
from claude_proxy.upstreams.upstream import Upstream
from claude_proxy.wire.messages import ClientRequest

_LONGEST_MESSAGE = 1000  # characters of a peer's words in our log, /health and errors; what it said goes on whole


async def credential_for(request: ClientRequest, upstream: Upstream) -> Credential | None:
    """What this upstream is called with; None where the client brought nothing and relies on nothing of ours.

    One that was refused stays refused until its store holds another: the store is asked for that.
    """
    credential = await _obtained(request, upstream)
    if credential is None or not credential.ours or not upstream.breaker.is_dead(credential):
        return credential
    replaced = await upstream.supply.replaces(credential) is not None
    return await _obtained(request, upstream) if replaced else credential


async def _obtained(request: ClientRequest, upstream: Upstream) -> Credential | None:
    try:
        credential = await upstream.supply.obtain(request)
    except SubscriptionGuarded as refused:
        raise AttemptFailed(Failure(FailureKind.NO_CREDENTIAL, str(refused), upstream.name)) from None
    except CredentialUnavailable as unusable:
        raise AttemptFailed(
            Failure(
                FailureKind.NO_CREDENTIAL,
                f"no usable credential for {upstream.name}: {unusable}",
                upstream.name,
            )
        ) from None
    if (
        credential is not None
        and credential.ours
        and credential.is_login
        and not (upstream.native and upstream.takes_login)
    ):
        message = f"what {credential.source} holds is a Claude login, which is never sent to {upstream.name}"
        raise AttemptFailed(Failure(FailureKind.NO_CREDENTIAL, message, upstream.name))
    if credential is not None:
        return upstream.dressed(credential)
    if upstream.anonymous:
        return None
    if upstream.pass_through and not brings_sentinel(request.headers, upstream.sentinels):
        return None  # the upstream's own 401 tells the client what it lacks
    names = ", ".join(source.name for source in upstream.supply.sources()) or "nowhere"
    remedy = "run `claude` and log in, or set REAL_ANTHROPIC_API_KEY" if upstream.native else f"set one in {names}"
    raise AttemptFailed(
        Failure(
            FailureKind.NO_CREDENTIAL,
            f"no credential for {upstream.name}: looked in {names} and found none; {remedy}",
            upstream.name,
        )
    )


async def settled(
    failure: Failure, credential: Credential | None, upstream: Upstream, request: ClientRequest
) -> Failure:
    """The failure with what only the credential decides: whose refusal it is, and no secret in its words."""
    if failure.kind in {FailureKind.AUTH, FailureKind.FORBIDDEN}:
        failure = await _whose(failure, credential, upstream)
    message, said = failure.message, failure.said
    if failure.kind is FailureKind.MALFORMED and said is None and not message.startswith(upstream.name):
        message = f"{upstream.name}: {message}"
    for secret in sorted(_secrets(credential, request), key=len, reverse=True):
        message = message.replace(secret, REDACTED)
    if said is not None and credential is not None and credential.ours:
        # What the client brought it may read again; what is ours it may not.
        body = said.body.replace(credential.secret.encode(), REDACTED.encode())
        # Never 401 for a key of ours, whatever the upstream says of its quota: the client would renew its login.
        said = replace(said, body=body, status=403 if said.status == 401 else said.status)
    return replace(failure, message=message[:_LONGEST_MESSAGE], said=said, upstream=upstream.name)


def repeats_secret(words: str, credential: Credential | None, request: ClientRequest) -> bool:
    """Whether an upstream repeats what it was called with, in words that would be shown to others."""
    lowered = words.lower()  # names of headers are compared, and kept, in lower case
    return any(secret.lower() in lowered for secret in _secrets(credential, request))


def _secrets(credential: Credential | None, request: ClientRequest) -> set[str]:
    """All that this request was sent with, by the client or by us, and that is long enough to be told from a word."""
    secrets = brought_secrets(request)
    if credential is not None and len(credential.secret) >= SHORTEST_SECRET:
        secrets.add(credential.secret)
    return secrets


async def _whose(failure: Failure, credential: Credential | None, upstream: Upstream) -> Failure:
    """A refused credential: the client's own, a stale one of ours, or a dead one of ours."""
    if credential is None or not credential.ours:
        return replace(failure, kind=FailureKind.CLIENT_AUTH)
    if failure.kind is FailureKind.FORBIDDEN:
        return failure
    if await upstream.supply.replaces(credential) is not None:
        failure = replace(failure, kind=FailureKind.STALE_TOKEN, may_retry=True)
    if upstream.native:
        message = (
            f"{upstream.name} refused the credential from {credential.source}: {failure.message}. {_remedy(credential)}"
        )
        return replace(failure, message=message, said=None, status=403, error_type="permission_error")
    return failure


def _remedy(credential: Credential) -> str:
    if not credential.is_login:
        return "Check that key and store it anew"
    if credential.source.startswith("env:") or credential.source in SETUP_TOKEN_SOURCES:
        return "Make another with `claude setup-token`"
    return "Run `claude` once, which renews the login"
