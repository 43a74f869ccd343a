"""HTTP/1.1 messages taken apart as their bytes arrive: just enough for upstream and load generator."""


class FramingError(Exception):
    """The bytes are no HTTP/1.1 message that this reader understands."""


class MessageReader:
    """Reads one message, request or answer, after another from the pieces of a connection."""

    def __init__(self) -> None:
        self.next()

    def next(self) -> None:
        """Forgets the message that was read and is ready for another."""
        self.start_line = ""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self._unread = bytearray()
        self._in_head = True
        self._chunked = False
        self._missing = 0  # bytes of the body, or of the current chunk, that are still to come

    def feed(self, piece: bytes) -> bool:
        """Takes the next piece; true once the message is whole."""
        if self._in_head:
            self._unread += piece
            end = self._unread.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._read_head(self._unread[:end].decode("latin-1"))
            piece = bytes(self._unread[end + 4 :])
            self._unread.clear()
        return self._feed_chunks(piece) if self._chunked else self._feed_counted(piece)

    def _read_head(self, head: str) -> None:
        self.start_line, *lines = head.split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if not self._chunked:
            length = self.headers.get("content-length")
            if length is None:
                raise FramingError(f"a message without length: {self.start_line!r} {self.headers}")
            self._missing = int(length)
        self._in_head = False

    def _feed_counted(self, piece: bytes) -> bool:
        self.body += piece
        self._missing -= len(piece)
        if self._missing < 0:
            raise FramingError(f"{-self._missing} bytes follow the end of the message {self.start_line!r}")
        return self._missing == 0

    def _feed_chunks(self, piece: bytes) -> bool:
        # `_missing` counts the chunk's own bytes and the line end that closes it.
        unread = self._unread
        unread += piece
        at = 0
        while True:
            if self._missing == 0:
                line_end = unread.find(b"\r\n", at)
                if line_end < 0:
                    break
                size = int(unread[at:line_end].partition(b";")[0], 16)
                if size == 0:
                    return self._feed_trailer(at, line_end)
                at = line_end + 2
                self._missing = size + 2
            here = min(self._missing, len(unread) - at)
            if here == 0:
                break
            self.body += unread[at : at + min(here, max(0, self._missing - 2))]
            at += here
            self._missing -= here
        del unread[:at]
        return False

    def _feed_trailer(self, last_chunk: int, line_end: int) -> bool:
        """The part after the last chunk: whole when an empty line ends it."""
        end = self._unread.find(b"\r\n\r\n", line_end)
        if end < 0:
            del self._unread[:last_chunk]
            return False
        if end + 4 != len(self._unread):
            raise FramingError(f"{len(self._unread) - end - 4} bytes follow the end of {self.start_line!r}")
        return True
