"""Whose request may use the stored login: genuine Claude Code on this machine, and nothing else.

A subscription is for the user's own Claude Code (code.claude.com/docs/en/legal-and-compliance). Other software
brings an API key of its own.
"""

from claude_proxy.wire.messages import ClientRequest


class SubscriptionGuard:
    """Recognises Claude Code by what it sends with every request; nothing of this is ever imitated by us."""

    refusal = (
        "this request does not come from Claude Code, and the stored Claude login serves nothing else; "
        "send an API key of your own in x-api-key, or set REAL_ANTHROPIC_API_KEY for the proxy"
    )

    def admits(self, request: ClientRequest) -> bool:
        """Whether the request is Claude Code's own. Only a Messages body carries its metadata."""
        betas = request.header("anthropic-beta") or ""
        return (
            request.local
            and (request.header("user-agent") or "").startswith("claude-cli/")
            and request.header("x-app") is not None
            and any(beta.strip().startswith("claude-code-") for beta in betas.split(","))
            and (not request.is_messages or bool(request.user_id))
        )
