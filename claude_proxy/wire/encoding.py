"""Request bodies that came compressed: decoded for reading, never encoded again."""

import importlib
import zlib
from collections.abc import Callable
from typing import Any

# What each coding needs (RFC 9110 8.4.1); brotli and zstandard come with the extra `codecs`.
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class EncodingUnsupported(ValueError):
    """The body's coding is unknown here, or its library is not installed."""


class EncodingBroken(ValueError):
    """The body is not what its `Content-Encoding` says, or grows beyond the limit."""


def decode_body(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was before compression, at most `limit` bytes.

    Raises EncodingUnsupported or EncodingBroken.
    """
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return body
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise EncodingUnsupported("this Content-Encoding is not known here; send gzip, zstd, br or none")
    return decoder(body, limit)


def _inflate(window: int) -> Callable[[bytes, int], bytes]:
    def decode(body: bytes, limit: int) -> bytes:
        stream = zlib.decompressobj(wbits=window)
        try:
            text = stream.decompress(body, limit + 1)
        except zlib.error:
            raise EncodingBroken("the body is not what its Content-Encoding says") from None
        if len(text) > limit:
            raise EncodingBroken(f"the decoded body is larger than {limit} bytes")
        if not stream.eof or stream.unused_data:
            raise EncodingBroken("the compressed body is cut short or has bytes behind its end")
        return text

    return decode


def _zstd(body: bytes, limit: int) -> bytes:
    zstandard = _library("zstandard", "zstd")
    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            text: bytes = reader.read(limit + 1)
        if len(text) > limit:
            raise EncodingBroken(f"the decoded body is larger than {limit} bytes")
        # The reader stops at the end of the first frame and takes a cut one for whole: this one tells.
        whole = zstandard.ZstdDecompressor().decompressobj()
        whole.decompress(body)
    except zstandard.ZstdError:
        raise EncodingBroken("the body is not what its Content-Encoding says") from None
    if not whole.eof or whole.unused_data:
        raise EncodingBroken("the compressed body is cut short or has bytes behind its end")
    return text


def _brotli(body: bytes, limit: int) -> bytes:
    brotli = _library("brotli", "br")
    decoder = brotli.Decompressor()
    try:
        text: bytes = decoder.process(body, output_buffer_limit=limit + 1)
    except brotli.error:
        raise EncodingBroken("the body is not what its Content-Encoding says") from None
    if len(text) > limit or not decoder.can_accept_more_data():
        raise EncodingBroken(f"the decoded body is larger than {limit} bytes")
    if not decoder.is_finished():
        raise EncodingBroken("the compressed body is cut short")
    return text


def _library(module: str, coding: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise EncodingUnsupported(
            f"Content-Encoding {coding} needs the library {module}: pip install 'claude-proxy[codecs]'"
        ) from None


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate(_GZIP_WINDOW),
    "x-gzip": _inflate(_GZIP_WINDOW),
    "deflate": _inflate(zlib.MAX_WBITS),
    "zstd": _zstd,
    "br": _brotli,
}
