"""Bytes made small, and read again: a mark of one byte says how.

What is short is packed with a dictionary of the words that headers, events and blocks are made of; without it a
short text has nothing to refer to. The dictionary is part of the ledger's format and never changes.
"""

import zlib
from functools import cache

_SHORT = 16 << 10  # bytes, up to which the dictionary pays
_LEVEL = 3  # the last that looks for no better match behind each: half of level 6's time, 4 % larger
# A packer for short texts takes 48 KB instead of 256: one is copied and thrown away for each of them.
_SHORT_WINDOW, _SHORT_MEMORY = 13, 5

_DICTIONARY = (
    b'"failure":"rate_limit","cause":"","background":"title","parent_agent":"'
    b'{"method":"POST","query":"beta=true","stream":true,"message_count":1,"user_agent":"claude-cli/2.1.197 (external, '
    b'cli)","content_type":"application/json","upstream_request_id":"req_011","route":"everything","credential":"client"'
    b',"first_byte_ms":1,"attempts":[{"upstream":"minimax","model":"MiniMax-M","credential":"env:MINIMAX_API_KEY",'
    b'"started_ms":0,"ended_ms":1,"status":200}],"attempts":[{"upstream":"claude","model":"claude-opus-4-8","credential"'
    b':"client","started_ms":0,"ended_ms":1,"status":200}],"stop_reason":"end_turn","stop_reason":"tool_use",'
    b'"price_source":"genai-prices 0.","price_dated":"2026-","rate_limit":{"requests-limit":"","requests-remaining":"",'
    b'"tokens-limit":"","tokens-remaining":"","tokens-reset"},"request_bytes":1,"answer_bytes":1,"usage":{"service_tier":'
    b'"standard"}}'
    b'"unified-status":"allowed","unified-reset":"1","unified-representative-claim":"five_hour","unified-5h-status":'
    b'"allowed","unified-5h-utilization":"0.","unified-5h-reset":"","unified-7d-status":"allowed_warning",'
    b'"unified-7d-utilization":"0.","unified-7d-reset":"","unified-overage-status":"rejected",'
    b'"unified-overage-disabled-reason":"out_of_credits","unified-fallback-percentage":"0.5",'
    b'["Date","Server","cloudflare"],["request-id","req_01"],["cf-ray",""],["anthropic-organization-id",""],'
    b'["Content-Type","text/event-stream; charset=utf-8"],["Cache-Control","no-cache"],["anthropic-ratelimit-'
    b'[["Host","127.0.0.1:8082"],["Connection","keep-alive"],["Accept","application/json"],["X-Stainless-Retry-Count"'
    b',"0"],["X-Stainless-Timeout","600"],["X-Stainless-Lang","js"],["X-Stainless-Package-Version","0."],'
    b'["X-Stainless-OS","MacOS"],["X-Stainless-OS","Linux"],["X-Stainless-Arch","arm64"],["X-Stainless-Arch","x64"],'
    b'["X-Stainless-Runtime","node"],["X-Stainless-Runtime-Version","v24.3.0"],'
    b'["anthropic-dangerous-direct-browser-access","true"],["anthropic-version","2023-06-01"],["x-app","cli"],'
    b'["User-Agent","claude-cli/2.1.197 (external, cli)"],["Content-Type","application/json"],'
    b'["X-Claude-Code-Session-Id",""],["x-claude-code-agent-id",""],["Accept-Encoding","gzip, deflate, br, zstd"],'
    b'["Content-Length",""],["anthropic-beta","claude-code-20250219,oauth-2025-04-20,context-1m-2025-08-07,'
    b"interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,context-management-2025-06-27,"
    b"prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24,"
    b'extended-cache-ttl-2025-04-11"],"metadata":{"user_id":"{\\"device_id\\":\\"\\",\\"account_uuid\\":\\"\\",'
    b'\\"session_id\\":\\"\\"}"},"max_tokens":64000,"thinking":{"type":"adaptive"},"context_management":{"edits":'
    b'[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"high"},"stream":true}'
    b'{"model":"claude-opus-4-8","messages":[{"role":"user","content":[{"role":"system","content":"'
    b'{"type":"thinking","thinking":"","signature":"'
    b'{"type":"tool_use","id":"toolu_01","name":"Bash","input":{"command":"","description":""},"caller":{"type":'
    b'"direct"}}]},{"role":"user","content":[{"tool_use_id":"toolu_01","type":"tool_result","content":"'
    b'","is_error":false,"cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"assistant","content":['
    b'{"type":"text","text":"<system-reminder>\\n'
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-opus-4-8","id":"msg_01","type":'
    b'"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":,'
    b'"cache_creation_input_tokens":,"cache_read_input_tokens":,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    b'"ephemeral_1h_input_tokens":},"output_tokens":1,"service_tier":"standard"}}}\n\nevent: ping\ndata: '
    b'{"type":"ping"}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"input_json_delta","partial_json":""}}\n\nevent: content_block_stop\ndata: {"type":"content_block_stop",'
    b'"index":0}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
    b'"stop_sequence":null},"usage":{"output_tokens":}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
)

_PLAIN, _DEFLATED, _WITH_DICTIONARY = b"p", b"z", b"d"


@cache
def _primed() -> "zlib._Compress":
    """A packer that has read the dictionary, which takes longer than to pack what is short: it is copied."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _SHORT_WINDOW, _SHORT_MEMORY, zdict=_DICTIONARY)


def pack(whole: bytes) -> bytes:
    """Works outside the interpreter's lock but for short texts."""
    if len(whole) <= _SHORT:
        mark, packer = _WITH_DICTIONARY, _primed().copy()
        packed = packer.compress(whole) + packer.flush()
    else:
        mark, packed = _DEFLATED, zlib.compress(whole, _LEVEL)
    return mark + packed if len(packed) < len(whole) else _PLAIN + whole


def unpack(packed: bytes) -> bytes:
    """Raises ValueError where these are not such bytes."""
    mark, rest = packed[:1], packed[1:]
    try:
        if mark == _WITH_DICTIONARY:
            return zlib.decompressobj(zdict=_DICTIONARY).decompress(rest)
        if mark == _DEFLATED:
            return zlib.decompress(rest)
    except zlib.error as error:
        raise ValueError(f"packed bytes are damaged: {error}") from None
    if mark != _PLAIN:
        raise ValueError("packed bytes are damaged: of no known kind")
    return rest


def pack_both(headers: bytes | None, body: bytes | None) -> bytes | None:
    """Headers, which are one line, and what came with them, packed as one. None where there is neither."""
    if headers is None and body is None:
        return None
    return pack((headers or b"") if body is None else b"%b\n%b" % (headers or b"", body))


def unpack_both(packed: bytes | None) -> tuple[bytes | None, bytes | None]:
    """The other way. Raises ValueError as `unpack`."""
    if packed is None:
        return None, None
    headers, line_ends, body = unpack(packed).partition(b"\n")
    return headers or None, body if line_ends else None
