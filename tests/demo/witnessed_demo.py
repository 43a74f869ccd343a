"""The demo with a witness: what Python itself tells of sockets, name look-ups, processes and files (PEP 578) is noted.

The first argument is the file for the notes, one JSON list a line; the others are the demo's. What a library does in
C, as OpenSSL when it reads certificates, is not told.
"""

import json
import os
import runpy
import sys

WATCHED = ("open", "os.exec", "os.fork", "os.posix_spawn", "os.startfile", "os.system", "socket.", "subprocess.")


def main() -> None:
    notes = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(WATCHED):
            told = [part if isinstance(part, (str, int, tuple)) else repr(part) for part in arguments]
            os.write(notes, json.dumps([event, *told], default=repr).encode() + b"\n")

    sys.addaudithook(note)
    sys.argv.insert(1, "demo")
    runpy.run_module("claude_proxy", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
