"""An answer's body as it is relayed: pieces lie one behind the other, and whoever reads takes them all.

aiohttp's own reader keeps account of where each HTTP chunk ends, for those who read chunk by chunk, and lets itself be
emptied piece by piece. Of a small event in a chunk of its own, as Anthropic sends them, that is half of the cost.
"""

from aiohttp.streams import StreamReader


class Relayed(StreamReader):
    """What an aiohttp reader becomes before it is read for the first time. Pieces are put in as before, with the same
    bounds on what may lie here; reading by HTTP chunk is not possible any more."""

    __slots__ = ()

    @classmethod
    def made_of(cls, reader: StreamReader) -> StreamReader:
        """The same object, which the parser goes on feeding. The reader of an empty body stays what it is."""
        if type(reader) is StreamReader:
            reader._http_chunk_splits = None  # noqa: SLF001 - aiohttp is pinned to a minor version
            reader.__class__ = cls
        return reader

    def begin_http_chunk_receiving(self) -> None:
        """Not noted."""

    def end_http_chunk_receiving(self) -> None:
        if len(self._buffer) > self._high_water_chunks:
            self._protocol.pause_reading()

    def _read_nowait(self, n: int) -> bytes:
        buffer = self._buffer
        if n != -1 or self._buffer_offset:
            return super()._read_nowait(n)
        data = buffer.popleft() if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        self._protocol.resume_reading()
        return data
