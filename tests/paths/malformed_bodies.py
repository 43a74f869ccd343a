"""Requests that no honest client sends: bodies that are no question, and requests that stop half-way."""

import gzip
import json
import zlib

from tests.paths.malformed_requests import (
    CHUNKED,
    HIDDEN,
    HOST,
    JSON_TYPE,
    LENGTH,
    MARK,
    SIGNED,
    VALID_BODY,
    head,
    post,
)


def body(raw: bytes, *lines: bytes) -> bytes:
    return post(*lines, body=raw)


def text(changes: bytes) -> bytes:
    """The body of a message request with these members put first."""
    return b"{" + changes + b", " + VALID_BODY[1:]


_REST = VALID_BODY.partition(b", ")[2]  # all members but the model, and the closing brace
_DEEP = 100_000

JSON = {
    "an empty body": body(b""),
    "a body of spaces": body(b"   \r\n "),
    "a body that is an array": body(b"[" + VALID_BODY + b"]"),
    "a body that is a string": body(json.dumps(MARK.decode()).encode()),
    "a body that is a number": body(b"42"),
    "a body that is null": body(b"null"),
    "a body that is true": body(b"true"),
    "a body that is an empty object": body(b"{}"),
    "a body that is text": body(b"hello " + MARK),
    "a body that is a form": body(b"model=claude-sonnet-4-5&note=" + MARK),
    "a body cut off": body(VALID_BODY[:-2]),
    "a body with a brace too many": body(VALID_BODY + b"}"),
    "a second document after the first": body(VALID_BODY + VALID_BODY),
    "garbage after the document": body(VALID_BODY + b" " + MARK),
    "a NUL after the document": body(VALID_BODY + b"\x00"),
    "a NUL before the document": body(b"\x00" + VALID_BODY),
    "a comma at the end": body(VALID_BODY[:-1] + b",}"),
    "a comment": body(b"/* " + MARK + b" */" + VALID_BODY),
    "single quotes": body(VALID_BODY.replace(b'"', b"'")),
    "names without quotes": body(VALID_BODY.replace(b'"model"', b"model")),
    "NaN": body(text(b'"temperature": NaN')),
    "Infinity": body(text(b'"temperature": Infinity')),
    "minus Infinity": body(text(b'"temperature": -Infinity')),
    "a number with a leading zero": body(text(b'"top_k": 01')),
    "a number with a plus sign": body(text(b'"top_k": +1')),
    "a hexadecimal number": body(text(b'"top_k": 0x10')),
    "a raw line end in a string": body(text(b'"note": "a\nb"')),
    "a raw NUL in a string": body(text(b'"note": "a\x00b"')),
    "an escape that JSON does not know": body(text(b'"note": "\\x41"')),
    "half an escape": body(text(b'"note": "\\u12"')),
    "invalid UTF-8 in a string": body(text(b'"note": "\xff\xfe"')),
    "overlong UTF-8 in a string": body(text(b'"note": "\xc0\xaf"')),
    "a surrogate in UTF-8": body(text(b'"note": "\xed\xa0\x80"')),
    "invalid UTF-8 in the model": body(b'{"model": "claude-\xff", ' + _REST),
    "UTF-16": body(VALID_BODY.decode().encode("utf-16")),
    "UTF-16 without a mark": body(VALID_BODY.decode().encode("utf-16-le")),
    "UTF-16 with its name": body(VALID_BODY.decode().encode("utf-16"), JSON_TYPE + b"; charset=utf-16"),
    "UTF-32": body(VALID_BODY.decode().encode("utf-32")),
    "UTF-7": body(VALID_BODY.replace(b"{", b"+AHs-")),
    "a byte order mark": body(b"\xef\xbb\xbf" + VALID_BODY),
    "arrays a hundred thousand deep": body(text(b'"a": ' + b"[" * _DEEP + b"]" * _DEEP)),
    "arrays that never close": body(b"[" * _DEEP),
    "objects a hundred thousand deep": body(text(b'"a": ' + b'{"a":' * _DEEP + b"1" + b"}" * _DEEP)),
    "deep messages": body(b'{"model": "m", "messages": ' + b"[" * _DEEP + b"]" * _DEEP + b"}"),
}

FIELDS = {
    "the model twice": body(text(b'"model": "claude-haiku-4-5"')),
    "the model twice with the same value": body(text(b'"model": "claude-sonnet-4-5"')),
    "the model twice, once escaped": body(text(b'"\\u006dodel": "claude-haiku-4-5"')),
    "the model twice, once escaped in capitals": body(text(b'"mode\\u006C": "claude-haiku-4-5"')),
    "the model twice, far apart": body(text(b'"model": "claude-haiku-4-5", "note": "' + b"x" * 100_000 + b'"')),
    "the stream twice": body(text(b'"stream": true, "stream": false')),
    "the stream twice, once escaped": body(text(b'"stream": true, "str\\u0065am": false')),
    "no model": body(b"{" + _REST),
    "a model that is null": body(b'{"model": null, ' + _REST),
    "a model that is a number": body(b'{"model": 7, ' + _REST),
    "a model that is a list": body(b'{"model": ["claude-sonnet-4-5"], ' + _REST),
    "a model that is an object": body(b'{"model": {"name": "claude-sonnet-4-5"}, ' + _REST),
    "a model that is empty": body(b'{"model": "", ' + _REST),
    "a model with half a surrogate pair": body(b'{"model": "claude-\\ud800", ' + _REST),
    "a model with a line end": body(b'{"model": "claude\\r\\nx-note: ' + MARK + b'", ' + _REST),
    "a model with a NUL": body(b'{"model": "claude\\u0000", ' + _REST),
    "a model without an end": body(b'{"model": "' + b"m" * 100_000 + b'", ' + _REST),
    "a name with half a surrogate pair": body(text(b'"\\udc00": 1')),
    "a stream that is a string": body(text(b'"stream": "true"')),
    "a stream that is a number": body(text(b'"stream": 1')),
    "a stream that is a list": body(text(b'"stream": [true]')),
}

TYPES = {
    "text/plain": post(b"Content-Type: text/plain"),
    "a form": post(b"Content-Type: application/x-www-form-urlencoded"),
    "a form in parts": post(b"Content-Type: multipart/form-data; boundary=" + MARK),
    "an empty type": post(b"Content-Type:"),
    "no type": head(b"POST /v1/messages HTTP/1.1", b"Host: " + HOST, LENGTH, SIGNED) + VALID_BODY,
    "a type that only begins like JSON": post(b"Content-Type: application/jsonx"),
    "a type with JSON for its parameter": post(b"Content-Type: text/plain; application/json"),
    "two types in a list": post(b"Content-Type: text/plain, application/json"),
    "text/plain, and a body that is a request": post(b"Content-Type: text/plain", body=HIDDEN),
    "text/plain on the count": post(b"Content-Type: text/plain", target=b"/v1/messages/count_tokens"),
}

_GZIP = gzip.compress(VALID_BODY, mtime=0)

ENCODINGS = {
    "an encoding that nobody knows": post(b"Content-Encoding: " + MARK),
    "gzip that is none": post(b"Content-Encoding: gzip"),
    "gzip cut off": body(_GZIP[:-12], b"Content-Encoding: gzip"),
    "gzip with a wrong checksum": body(_GZIP[:-8] + b"\x00" * 8, b"Content-Encoding: gzip"),
    "gzip with garbage after it": body(_GZIP + MARK, b"Content-Encoding: gzip"),
    "gzip with a second document after it": body(_GZIP + _GZIP, b"Content-Encoding: gzip"),
    "gzip said twice": body(_GZIP, b"Content-Encoding: gzip, gzip"),
    "gzip over nothing": body(b"", b"Content-Encoding: gzip"),
    "deflate that is none": post(b"Content-Encoding: deflate"),
    "zstd that is none": post(b"Content-Encoding: zstd"),
    "br that is none": post(b"Content-Encoding: br"),
    "a bomb in gzip": body(
        gzip.compress(text(b'"note": "' + b"x" * (1 << 25) + b'"'), mtime=0), b"Content-Encoding: gzip"
    ),
    "a bomb in deflate": body(
        zlib.compress(text(b'"note": "' + b"x" * (1 << 25) + b'"')), b"Content-Encoding: deflate"
    ),
}

# The client says that nothing more comes (FIN) after these.
HALVES = {
    "half a method": b"PO",
    "half a request line": b"POST /v1/mess",
    "a request line only": b"POST /v1/messages HTTP/1.1\r\n",
    "half a header": b"POST /v1/messages HTTP/1.1\r\nHost: " + HOST + b"\r\nx-note: " + MARK,
    "a head without its empty line": post(body=b"")[:-2],
    "a head without its body": post(length=False, body=b"")[:-2] + LENGTH + b"\r\n\r\n",
    "half a body": post()[: -len(VALID_BODY) // 2],
    "a body but for its last byte": post()[:-1],
    "half a chunk size": post(CHUNKED, length=False, body=b"1"),
    "half a chunk": post(CHUNKED, length=False, body=b"fff\r\n" + VALID_BODY),
    "chunks without the last one": post(CHUNKED, length=False, body=b"%x\r\n%s\r\n" % (len(VALID_BODY), VALID_BODY)),
    "a last chunk without its end": post(
        CHUNKED, length=False, body=b"%x\r\n%s\r\n0\r\n" % (len(VALID_BODY), VALID_BODY)
    ),
    "half a trailer": post(CHUNKED, length=False, body=b"%x\r\n%s\r\n0\r\nx-no" % (len(VALID_BODY), VALID_BODY)),
    "line ends only": b"\r\n\r\n\r\n",
    "nothing": b"",
}
