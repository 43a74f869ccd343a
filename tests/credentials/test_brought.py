"""What the client sent that may be a secret, and which of its headers are harmless."""

from claude_proxy.credentials.brought import brought_secrets, harmless
from tests.client_requests import headers_of, message_request

BROUGHT = (
    ("authorization", "Bearer FAKE-Bearer"),
    ("X_Api_Key", " FAKE-Key "),
    ("cookie", "a=1; session=FAKE-Cookie"),
    ("X-Tenant", "FAKE-Tenant"),
    ("anthropic-gateway-token", "Basic FAKE-Gateway"),
)


def test_secrets_are_found_wherever_the_client_sends_one() -> None:
    found = brought_secrets(message_request(*BROUGHT, query="beta=true&key=FAKE%2DQuery"))
    assert found >= {"FAKE-Bearer", "FAKE-Key", "FAKE-Cookie", "FAKE-Tenant", "FAKE-Gateway", "FAKE-Query"}
    assert all("FAKE" in secret for secret in found)


def test_what_claude_code_sends_by_itself_is_harmless() -> None:
    assert brought_secrets(message_request()) == set()
    assert harmless((*headers_of(), *BROUGHT)) == headers_of()
