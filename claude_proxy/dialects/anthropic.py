"""Anthropic's own API: nothing translated, refusals read."""

from claude_proxy.dialects.dialect import StreamTranslator
from claude_proxy.dialects.thinking import drop_foreign_thinking
from claude_proxy.failures import Failure, FailureKind, Said
from claude_proxy.wire.errors import STATUS_OF_TYPE, read_error
from claude_proxy.wire.headers import Headers, first, for_client, for_upstream, retry_after, without
from claude_proxy.wire.messages import ClientRequest
from claude_proxy.wire.quota import read_quota

_MONEY_WORDS = ("quota", "billing", "credit balance", "insufficient balance", "usage limit", "spend limit")

# What ends a credential for good, whatever the status (seen in the field with organisations that were closed).
_DEAD_WORDS = (
    "organization has been disabled",
    "oauth authentication is currently not allowed",
    "token has been revoked",
)

_KIND_OF_TYPE = {
    "overloaded_error": FailureKind.OVERLOADED,
    "api_error": FailureKind.SERVER_ERROR,
    "timeout_error": FailureKind.SERVER_ERROR,
    "rate_limit_error": FailureKind.RATE_LIMIT,
    "billing_error": FailureKind.RATE_LIMIT,
    "authentication_error": FailureKind.AUTH,
    "permission_error": FailureKind.FORBIDDEN,
}


def kind_of(status: int, error_type: str, message: str) -> FailureKind:
    """Which kind of failure an error answer is: by status, then by what its body says."""
    words = message.lower()
    if 300 <= status < 400:
        return FailureKind.MALFORMED
    if status in {529, 503} or error_type == "overloaded_error":
        return FailureKind.OVERLOADED
    if status >= 500 or status == 408:
        return FailureKind.SERVER_ERROR
    if status in {429, 402}:
        return FailureKind.RATE_LIMIT
    if status in {401, 403}:
        if error_type in {"billing_error", "rate_limit_error"} or any(word in words for word in _MONEY_WORDS):
            return FailureKind.RATE_LIMIT
        dead = status == 401 or error_type == "authentication_error" or is_terminal(words)
        return FailureKind.AUTH if dead else FailureKind.FORBIDDEN
    if is_terminal(words):
        return FailureKind.AUTH
    if "prompt is too long" in words or "exceed context limit" in words:
        return FailureKind.CONTEXT_WINDOW
    return FailureKind.INVALID_REQUEST


def is_terminal(message: str) -> bool:
    """Whether an upstream's words end a credential for good: its organisation is disabled, or it takes no logins."""
    return any(words in message.lower() for words in _DEAD_WORDS)


class AnthropicDialect:
    """The native dialect: bytes go up and come back as they are."""

    native = True

    def target(self, request: ClientRequest) -> str:
        return request.target

    def headers(self, headers: Headers, access_header: str) -> Headers:
        return for_upstream(headers, access_header)

    def request(self, request: ClientRequest, model: str | None) -> bytes:
        """The client's own bytes, but for a model that the route renames and for what Anthropic would refuse:
        thinking that another provider signed while it stood in."""
        if request.members is None:
            return request.body
        cleaned = drop_foreign_thinking(request)
        if cleaned is None and (model is None or model == request.model):
            return request.body
        members = request.members if cleaned is None else cleaned
        return members.text if model is None or model == request.model else members.replace("model", model)

    def refusal(self, status: int, headers: Headers, body: bytes, request: ClientRequest) -> Failure:
        error_type, message = read_error(body) or ("", "")
        kind = kind_of(status, error_type, message)
        if kind is FailureKind.MALFORMED:
            return Failure(kind, f"the upstream answered with a redirect (status {status}), which is never followed")
        quota = read_quota(headers)
        return Failure(
            kind,
            message or f"the upstream answered with status {status}",
            said=Said(status, for_client(headers), body),
            retry_after=retry_after(headers),
            spent_until=quota.spent_until if quota else None,
            of_one_model=quota is not None and quota.of_one_model,
            may_retry=first(headers, "x-should-retry") != "false",
            error_type=error_type,
        )

    def disguised(self, data: bytes, headers: Headers, request: ClientRequest) -> Failure | None:
        found = read_error(data)
        if found is None:
            return None
        error_type, message = found
        status = STATUS_OF_TYPE.get(error_type, 502)
        kind = FailureKind.AUTH if is_terminal(message) else _KIND_OF_TYPE.get(error_type)
        if kind is None:
            kind = kind_of(status, error_type, message) if error_type in STATUS_OF_TYPE else FailureKind.MALFORMED
        quota = read_quota(headers)
        as_json = (*without(for_client(headers), "content-type"), ("Content-Type", "application/json"))
        return Failure(
            kind,
            message or "the upstream answered with an error inside a 200",
            said=Said(status, as_json, data),
            retry_after=retry_after(headers),
            spent_until=quota.spent_until if quota else None,
            of_one_model=quota is not None and quota.of_one_model,
            error_type=error_type,
        )

    def answer(self, body: bytes, request: ClientRequest) -> bytes:
        return body

    def stream(self, request: ClientRequest) -> StreamTranslator | None:
        return None
