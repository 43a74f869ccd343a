"""Requests that no honest client sends: heads, framing and targets as exact bytes, by name.

`PORT` stands for the daemon's port, of five digits, and `MARK` for eight bytes that are new in each test:
`ready` puts both in without a change of length. More heads are in malformed_heads.py, bodies in
malformed_bodies.py.
"""

import json

PORT = b"@PORT"
HOST = b"127.0.0.1:" + PORT
MARK = b"mark0000"
FLOOD = 4 << 20  # more bytes than the body limit of these tests, twice over

VALID_BODY = json.dumps(
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": MARK.decode()}],
    }
).encode()
JSON_TYPE = b"Content-Type: application/json"
LENGTH = b"Content-Length: %d" % len(VALID_BODY)
CHUNKED = b"Transfer-Encoding: chunked"
ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(VALID_BODY), VALID_BODY)
SIGNED = b"x-note: " + MARK


def ready(raw: bytes, port: int, number: int = 0) -> bytes:
    """A request of these tables as it is sent to this port, with a mark of its own."""
    assert port >= 10_000, "a port of fewer digits would change the lengths"
    return raw.replace(PORT, b"%d" % port).replace(MARK, b"mark%04d" % number)


def head(first: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def post(
    *lines: bytes,
    target: bytes = b"/v1/messages",
    body: bytes = VALID_BODY,
    length: bool = True,
    host: bytes | None = HOST,
) -> bytes:
    """A request for a message; faultless but for what the caller puts into it."""
    own = [b"Host: " + host] if host is not None else []
    own += [JSON_TYPE] if not any(line.lower().startswith(b"content-type") for line in lines) else []
    own += [b"Content-Length: %d" % len(body)] if length else []
    return head(b"POST %s HTTP/1.1" % target, *own, SIGNED, *lines) + body


def framed(*lines: bytes, body: bytes = VALID_BODY) -> bytes:
    """A request whose length is told by these lines alone."""
    return post(*lines, body=body, length=False)


def chunks(body: bytes) -> bytes:
    """A chunked request with this on the wire for its body."""
    return framed(CHUNKED, body=body)


def line(first: bytes) -> bytes:
    """A whole message request under this first line."""
    return head(first, b"Host: " + HOST, JSON_TYPE, LENGTH, SIGNED) + VALID_BODY


def to(target: bytes, method: bytes = b"POST") -> bytes:
    return line(b"%s %s HTTP/1.1" % (method, target))


VALID = post()
HIDDEN = VALID  # what a second reader would take for a request of its own

LENGTHS = {
    "two different lengths": framed(LENGTH, b"Content-Length: 5"),
    "two different lengths, the short one first": framed(b"Content-Length: 5", LENGTH),
    "the same length twice": framed(LENGTH, LENGTH),
    "a list of equal lengths": framed(LENGTH + b", %d" % len(VALID_BODY)),
    "a list of different lengths": framed(LENGTH + b", 5"),
    "a length with a comma after it": framed(LENGTH + b","),
    "a length with a plus sign": framed(LENGTH.replace(b": ", b": +")),
    "a negative length": framed(b"Content-Length: -1"),
    "minus zero for a length": framed(b"Content-Length: -0", body=HIDDEN),
    "a length with a space inside": framed(b"Content-Length: 1 0"),
    "a hexadecimal length": framed(b"Content-Length: 0x%x" % len(VALID_BODY)),
    "a length with an underscore": framed(b"Content-Length: 1_0"),
    "a length with a fraction": framed(LENGTH + b".0"),
    "a length with an exponent": framed(b"Content-Length: 1e1"),
    "a length in letters": framed(b"Content-Length: ten"),
    "a length in quotes": framed(b'Content-Length: "%d"' % len(VALID_BODY)),
    "a length in Arabic digits": framed("Content-Length: ٨".encode()),
    "an empty length": framed(b"Content-Length:", body=HIDDEN),
    "a folded length": framed(b"Content-Length:\r\n %d" % len(VALID_BODY)),
    "a length over 64 bits": framed(b"Content-Length: 18446744073709551621"),
    "a length over the limit": framed(b"Content-Length: 99999999999", body=b""),
}

FRAMINGS = {
    "length, then chunked": framed(LENGTH, CHUNKED, body=ONE_CHUNK),
    "chunked, then length": framed(CHUNKED, LENGTH, body=ONE_CHUNK),
    "chunked and a length of none": framed(CHUNKED, b"Content-Length: 0", body=b"0\r\n\r\n" + HIDDEN),
    "a length and an empty chunked body": framed(LENGTH, CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
    "transfer coding gzip": framed(b"Transfer-Encoding: gzip"),
    "transfer coding gzip with a length": framed(b"Transfer-Encoding: gzip", LENGTH),
    "transfer coding identity": framed(b"Transfer-Encoding: identity", LENGTH),
    "transfer coding gzip, then chunked": framed(b"Transfer-Encoding: gzip, chunked", body=ONE_CHUNK),
    "transfer coding chunked, then gzip": framed(b"Transfer-Encoding: chunked, gzip", body=ONE_CHUNK),
    "transfer coding chunked twice": framed(b"Transfer-Encoding: chunked, chunked", body=ONE_CHUNK),
    "transfer coding chunked on two lines": framed(CHUNKED, CHUNKED, body=ONE_CHUNK),
    "transfer coding chunked and identity": framed(b"Transfer-Encoding: chunked, identity", body=ONE_CHUNK),
    "transfer coding xchunked": framed(b"Transfer-Encoding: xchunked", body=ONE_CHUNK),
    "transfer coding xchunked with a length": framed(b"Transfer-Encoding: xchunked", LENGTH),
    "transfer coding chunked with a parameter": framed(CHUNKED + b";q=1", body=ONE_CHUNK),
    "transfer coding in quotes": framed(b'Transfer-Encoding: "chunked"', body=ONE_CHUNK),
    "transfer coding after a vertical tab": framed(b"Transfer-Encoding: \x0bchunked", body=ONE_CHUNK),
    "transfer coding with a NUL": framed(CHUNKED + b"\x00", body=ONE_CHUNK),
    "transfer coding with a soft hyphen": framed(b"Transfer-Encoding: chunk\xaded", LENGTH),
    "transfer coding empty": framed(b"Transfer-Encoding:", LENGTH),
    "transfer coding with a space before the colon": framed(b"Transfer-Encoding : chunked", LENGTH),
    "transfer coding with a tab before the colon": framed(b"Transfer-Encoding\t: chunked", LENGTH),
    "transfer coding folded": framed(b"Transfer-Encoding:\r\n chunked", body=ONE_CHUNK),
    "transfer coding hidden in a fold": framed(b"x-a: b\r\n Transfer-Encoding: chunked", LENGTH),
    "transfer coding after a bare CR": framed(b"x-a: b\rTransfer-Encoding: chunked", LENGTH),
    "transfer coding after a bare LF": framed(b"x-a: b\nTransfer-Encoding: chunked", LENGTH),
    "chunked in HTTP/1.0": head(b"POST /v1/messages HTTP/1.0", b"Host: " + HOST, JSON_TYPE, SIGNED, CHUNKED)
    + ONE_CHUNK,
}

_N = b"%x" % len(VALID_BODY)
_LAST = b"\r\n0\r\n\r\n"

CHUNKINGS = {
    "a chunk size that is no number": chunks(b"xyz\r\n" + VALID_BODY + _LAST),
    "a negative chunk size": chunks(b"-" + _N + b"\r\n" + VALID_BODY + _LAST),
    "a chunk size with a plus sign": chunks(b"+" + _N + b"\r\n" + VALID_BODY + _LAST),
    "a chunk size with 0x": chunks(b"0x" + _N + b"\r\n" + VALID_BODY + _LAST),
    "a chunk size with an underscore": chunks(b"1_0\r\n" + VALID_BODY + _LAST),
    "a space before the chunk size": chunks(b" " + _N + b"\r\n" + VALID_BODY + _LAST),
    "a space after the chunk size": chunks(_N + b" \r\n" + VALID_BODY + _LAST),
    "a NUL after the chunk size": chunks(_N + b"\x00\r\n" + VALID_BODY + _LAST),
    "no chunk size at all": chunks(b"\r\n" + VALID_BODY + _LAST),
    "a chunk size over 64 bits": chunks(b"10000000000000005\r\n" + VALID_BODY + _LAST),
    "a chunk size that is huge": chunks(b"7fffffffffffffff\r\n" + VALID_BODY),
    "a chunk size over the limit": chunks(b"fffffffff\r\n" + VALID_BODY),
    "a chunk size with endless zeros": chunks(b"0" * FLOOD + _N + b"\r\n" + VALID_BODY + _LAST),
    "a chunk longer than its size": chunks(b"5\r\n" + VALID_BODY + _LAST),
    "a chunk shorter than its size": chunks(b"fff\r\n" + VALID_BODY + _LAST),
    "a chunk without a line end after it": chunks(_N + b"\r\n" + VALID_BODY + b"0\r\n\r\n"),
    "a chunk size ended by LF": chunks(_N + b"\n" + VALID_BODY + _LAST),
    "a chunk size ended by CR": chunks(_N + b"\r" + VALID_BODY + _LAST),
    "a chunk ended by LF": chunks(_N + b"\r\n" + VALID_BODY + b"\n0\r\n\r\n"),
    "a chunk extension with a bare LF": chunks(_N + b";a\nb\r\n" + VALID_BODY + _LAST),
    "a chunk extension with a bare CR": chunks(_N + b";a\rb\r\n" + VALID_BODY + _LAST),
    "a chunk extension with a NUL": chunks(_N + b";a=\x00\r\n" + VALID_BODY + _LAST),
    "a chunk extension without an end": chunks(_N + b";a=" + b"x" * FLOOD + b"\r\n" + VALID_BODY + _LAST),
    "a last chunk without its line end": chunks(_N + b"\r\n" + VALID_BODY + b"\r\n0\r\nX" + HIDDEN),
    "a last chunk ended by LF": chunks(_N + b"\r\n" + VALID_BODY + b"\r\n0\n\n" + HIDDEN),
    "a trailer without a colon": chunks(_N + b"\r\n" + VALID_BODY + b"\r\n0\r\n" + MARK + b"\r\n\r\n"),
    "a trailer with a NUL": chunks(_N + b"\r\n" + VALID_BODY + b"\r\n0\r\nx-a: \x00\r\n\r\n"),
    "a trailer with a space before the colon": chunks(
        _N + b"\r\n" + VALID_BODY + b"\r\n0\r\nx-a : " + MARK + b"\r\n\r\n"
    ),
    "trailers without an end": chunks(_N + b"\r\n" + VALID_BODY + b"\r\n0\r\n" + b"x-a: b\r\n" * 40_000 + b"\r\n"),
    "a chunked body over the limit": chunks((b"10000\r\n" + b" " * 65536 + b"\r\n") * 40),
}

TARGETS = {
    "absolute form to another host": to(b"http://evil.example/v1/messages"),
    "absolute form to another host, Host the same": head(
        b"POST http://evil.example/v1/messages HTTP/1.1", b"Host: evil.example", JSON_TYPE, LENGTH, SIGNED
    )
    + VALID_BODY,
    "absolute form to another port": to(b"http://127.0.0.1:1/v1/messages"),
    "absolute form with https": to(b"https://evil.example/v1/messages"),
    "absolute form with our address as user": to(b"http://" + HOST + b"@evil.example/v1/messages"),
    "absolute form with a user": to(b"http://user:" + MARK + b"@" + HOST + b"/v1/messages"),
    "absolute form of a file": to(b"file:///v1/messages"),
    "absolute form without a host": to(b"http:///v1/messages"),
    "absolute form of no known scheme": to(b"gopher://" + HOST + b"/v1/messages"),
    "authority form in a POST": to(HOST),
    "CONNECT to another host": head(b"CONNECT evil.example:443 HTTP/1.1", b"Host: evil.example:443", SIGNED),
    "CONNECT to ourselves": head(b"CONNECT %s HTTP/1.1" % HOST, b"Host: " + HOST, SIGNED) + HIDDEN,
    "CONNECT with a path": to(b"/v1/messages", b"CONNECT"),
    "asterisk form in a POST": to(b"*"),
    "asterisk form in OPTIONS": head(b"OPTIONS * HTTP/1.1", b"Host: " + HOST, SIGNED),
    "no target": line(b"POST HTTP/1.1"),
    "an empty target": line(b"POST  HTTP/1.1"),
    "a target without a slash": to(b"v1/messages"),
    "a target that begins with a question mark": to(b"?/v1/messages"),
    "two slashes first": to(b"//v1/messages"),
    "two slashes and another host": to(b"//evil.example/v1/messages"),
    "two slashes in the middle": to(b"/v1//messages"),
    "dot segments": to(b"/v1/../v1/messages"),
    "a single dot segment": to(b"/v1/./messages"),
    "dot segments to another path": to(b"/v1/messages/../models"),
    "dot segments at the end": to(b"/v1/models/.."),
    "dot segments out of the root": to(b"/../v1/messages"),
    "dot segments out of health": to(b"/health/../v1/messages"),
    "encoded dot segments": to(b"/v1/%2e%2e/v1/messages"),
    "encoded dot segments in capitals": to(b"/v1/models/%2E%2E/messages"),
    "half-encoded dot segments": to(b"/v1/models/.%2e/messages"),
    "an encoded single dot": to(b"/v1/%2e/messages"),
    "dot segments encoded twice": to(b"/v1/models/%252e%252e/messages"),
    "dots in overlong UTF-8": to(b"/v1/%c0%ae%c0%ae/messages"),
    "an encoded slash": to(b"/v1%2fmessages"),
    "an encoded slash in capitals": to(b"/v1%2Fmessages"),
    "an encoded slash below v1": to(b"/v1/models%2F..%2Fmessages"),
    "an encoded first slash": to(b"/%2fv1/messages"),
    "an encoded letter": to(b"/v1/m%65ssages"),
    "encoded letters of the version": to(b"/%76%31/messages"),
    "a full-width letter": to("/v1/\uff4dessages".encode()),
    "a full-width letter, encoded": to(b"/v1/%EF%BD%8Dessages"),
    "capitals": to(b"/V1/MESSAGES"),
    "a parameter on the last segment": to(b"/v1/messages;x=1"),
    "a parameter on the first segment": to(b"/v1;x=1/messages"),
    "a parameter with dot segments": to(b"/v1/models/..;/messages"),
    "a backslash": to(b"/v1\\messages"),
    "a backslash with dots": to(b"/v1/models\\..\\messages"),
    "an encoded backslash": to(b"/v1/models%5c..%5cmessages"),
    "an encoded NUL": to(b"/v1/messages%00"),
    "an encoded NUL below v1": to(b"/v1/models%00/messages"),
    "encoded line ends": to(b"/v1/models%0d%0ax-note:%20" + MARK),
    "a per cent sign that encodes nothing": to(b"/v1/messages%zz"),
    "a lone per cent sign": to(b"/v1/models/%"),
    "a fragment": to(b"/v1/messages#" + MARK),
    "a NUL in the target": to(b"/v1/messages\x00"),
    "a NUL in the query": to(b"/v1/messages?a=\x00"),
    "a tab in the target": to(b"/v1/\tmessages"),
    "an escape in the target": to(b"/v1/messages\x1b[2J"),
    "a DEL in the target": to(b"/v1/messages\x7f"),
    "a space in the target": to(b"/v1/mess ages"),
    "a bare CR in the target": to(b"/v1/messages\rx-note: " + MARK),
    "a bare LF in the target": to(b"/v1/messages\nx-note: " + MARK),
    "a Latin-1 letter in the target": to(b"/v1/messag\xe8s"),
    "a query without an end": to(b"/v1/messages?" + b"a" * 300_000),
    "a path without an end": to(b"/v1/" + b"a/" * 150_000),
}
