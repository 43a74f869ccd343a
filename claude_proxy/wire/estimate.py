"""A guess at a request's token count, for upstreams that cannot count."""

import re

# Encoded images and documents are no text: an image costs about 1,600 tokens whatever its bytes.
_BASE64_DATA = re.compile(rb'"data"\s*:\s*"[A-Za-z0-9+/=\\]{256,}"')
_TOKENS_PER_ATTACHMENT = 1600

# English prose and code in JSON come to about 3.6 bytes a token with today's tokenizers. The estimate is
# meant to be a little high: a client that compacts early loses less than one that runs into the limit.
_BYTES_PER_TOKEN = 3.6


def estimate_tokens(body: bytes) -> int:
    """About how many input tokens a Messages or count_tokens body holds; at least 1."""
    text, attachments = _BASE64_DATA.subn(b"", body)
    return max(1, round(len(text) / _BYTES_PER_TOKEN)) + attachments * _TOKENS_PER_ATTACHMENT
