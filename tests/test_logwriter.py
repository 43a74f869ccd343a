"""Lines are written on a thread: whole, in order, and without ever holding up who logs."""

import logging
import os
import threading
from functools import partial

from claude_proxy.logwriter import LogWriter


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, text, None, None)


class Reader:
    """Takes what is written, seven bytes at a time, once its gate is open."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.taken = b""
        self.entered = threading.Event()
        self.gate = threading.Event()
        if not stuck:
            self.gate.set()

    def __call__(self, data: memoryview) -> int:
        self.entered.set()
        assert self.gate.wait(20)
        self.taken += data[:7]
        return len(data[:7])

    @property
    def lines(self) -> list[str]:
        return self.taken.decode().splitlines()


def test_lines_are_written_whole_and_in_order_and_all_of_them_at_the_close() -> None:
    reader = Reader()
    writer = LogWriter(reader)
    for number in range(500):
        writer.handle(record(f"line {number}"))
    writer.close()
    assert reader.lines == [f"line {number}" for number in range(500)]


def test_a_stuck_reader_holds_up_nobody_and_what_is_dropped_is_counted() -> None:
    reader = Reader(stuck=True)
    writer = LogWriter(reader, most_waiting=3)
    writer.handle(record("first"))
    assert reader.entered.wait(20)
    for number in range(10):
        writer.handle(record(f"waiting {number}"))  # returns although nothing can be written
    reader.gate.set()
    writer.close()
    assert reader.lines[:4] == ["first", "waiting 0", "waiting 1", "waiting 2"]
    assert "event=log_lines_dropped count=7" in reader.lines[4]


def test_a_reader_that_has_gone_costs_the_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(partial(os.write, writing))
    writer.handle(record("into the void"))
    writer.handle(record("and again"))
    writer.close()
    os.close(writing)
