"""Compares two runs of Claude Code by what the upstream received and what was printed.

What the client itself draws at random or measures is left aside.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.claude_code import Run
from tests.stand_in import Received

# What the client draws anew or measures in each run: where requests carry it ...
VARYING_IN_REQUESTS = [
    (r"(?<![0-9a-f])a[0-9a-f]{16}(?![0-9a-f])", "<agent id>"),
    (r"duration_ms: \d+", "duration_ms: <n>"),
    (r"Today's date is \d{4}-\d\d-\d\d\.", "Today's date is <date>."),
]
# ... and where it prints it.
VARYING_IN_PRINT = [
    *VARYING_IN_REQUESTS,
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r'("\w*ms"):[0-9.]+', r"\1:<n>"),
    (r"127\.0\.0\.1:\d+", "<gateway>"),
]

# RFC 9110 7.6.1: each hop writes its own. Host and Accept-Encoding are the other two that the daemon may set.
NOT_COMPARED = {
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    *("host", "accept-encoding"),
}


def steady(words: str, varying: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in varying:
        words = re.sub(pattern, replacement, words)
    return words


@dataclass(frozen=True, order=True)
class Asked:
    """One request as the upstream received it, ready to compare."""

    method: str
    target: str
    body: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, received: Received) -> "Asked":
        # Latin-1 shows every byte as one character, so equal text is equal bytes.
        body = steady(received.body.decode("latin-1"), VARYING_IN_REQUESTS)
        headers = []
        for name, value in received.headers:
            if (name.lower(), value) == ("content-length", str(len(received.body))):
                # What varies in the body may vary in length: what is compared is that the length is right.
                headers.append(("content-length", "<right>"))
            elif name.lower() not in NOT_COMPARED:
                headers.append((name.lower(), steady(value, VARYING_IN_REQUESTS)))
        return cls(received.method, received.target, body, tuple(sorted(headers)))


def asked_of_the_api(received: Iterable[Received]) -> list[Asked]:
    """The requests to the API, sorted: those that the client sends at once arrive in any order."""
    return sorted(Asked.of(r) for r in received if r.path.startswith("/v1/"))


def parting(one: str, other: str) -> str:
    """Where two texts part, with a little of what comes before and after."""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = max(0, at - 60)
    return f"at {at}: {one[begin : at + 60]!r} became {other[begin : at + 60]!r}"


def changes_in_requests(direct: list[Asked], through: list[Asked]) -> list[str]:
    """What the upstream saw change when the daemon stood between, one line for each change."""
    changes = []
    if len(direct) != len(through):
        changes.append(f"{len(direct)} requests became {len(through)}")
    for number, (before, after) in enumerate(zip(direct, through, strict=False), 1):
        where = f"request {number}, {before.method} {before.target}"
        if (before.method, before.target) != (after.method, after.target):
            changes.append(f"{where}: became {after.method} {after.target}")
        if before.body != after.body:
            changes.append(f"{where}: body {parting(before.body, after.body)}")
        changes += [f"{where}: lost {h}" for h in before.headers if h not in after.headers]
        changes += [f"{where}: gained {h}" for h in after.headers if h not in before.headers]
        if len(before.headers) != len(after.headers):
            changes.append(f"{where}: {len(before.headers)} header lines became {len(after.headers)}")
    return changes


def changes_in_print(direct: Run, through: Run) -> list[str]:
    """What the user saw change when the daemon stood between."""
    changes = []
    if direct.exit_code != through.exit_code:
        changes.append(f"exit code {direct.exit_code} became {through.exit_code}")
    for name in ("stdout", "stderr"):
        before, after = (steady(getattr(run, name), VARYING_IN_PRINT) for run in (direct, through))
        if before != after:
            changes.append(f"{name} {parting(before, after)}")
    return changes
