"""The official Python SDK, pointed at one base URL and at nothing of the developer's own."""

from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

API_KEY = "sk-ant-api03-FAKE-of-the-sdk"
AUTH_TOKEN = "sk-ant-oat01-FAKE-of-the-sdk"
MODEL = "claude-sonnet-5-5"  # the SDK warns of models that are about to retire: a warning is an error here


def official_sdk(base_url: str, *, api_key: str = API_KEY, auth_token: str | None = None) -> AsyncAnthropic:
    """A client without retries of its own; with an API key, or with a token in its place."""
    return AsyncAnthropic(
        base_url=base_url,
        api_key=None if auth_token else api_key,
        auth_token=auth_token,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )
