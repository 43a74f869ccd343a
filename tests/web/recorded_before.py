"""A daemon whose ledger holds something already, and questions to its API, each answer held to the description."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.store import Change
from tests.in_process import InProcess, in_process
from tests.raw_client import Answer
from tests.web.described import assert_as_described, document
from tests.web.knocking import knock, told


def write(file: Path, changes: Sequence[Change]) -> None:
    """Writes as the daemon's recorder does."""
    with contextlib.closing(SqliteStore(file)) as store:
        store.write(changes)


@contextlib.asynccontextmanager
async def recorded_before(
    home: Path, changes: Sequence[Change], env: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
) -> AsyncIterator[InProcess]:
    """A daemon in this process, with these in its ledger, however old they are."""
    file = home / "ledger.db"
    write(file, changes)
    async with in_process(home, {"ledger": {"url": f"sqlite://{file}", "keep": "0s"}, **(config or {})}, env) as daemon:
        yield daemon


def described_path(target: str) -> str:
    """The path of the description that a target is of."""
    path = target.partition("?")[0]
    return path if path in document()["paths"] else f"{path.rpartition('/')[0]}/{{id}}"


async def get(daemon: InProcess, target: str) -> Any:
    """The JSON of a good answer, which is as it is described."""
    answer = await knock(daemon, "GET", target)
    assert answer.status == 200, answer.body
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    body = answer.json()
    assert_as_described(body, described_path(target), 200)
    return body


async def refused(daemon: InProcess, target: str, status: int = 400, method: str = "GET") -> str:
    """Why this is refused, with this status."""
    answer: Answer = await knock(daemon, method, target)
    assert answer.status == status, answer.body
    assert_as_described(answer.json(), described_path(target), status, method.lower())
    return told(answer)


async def all_pages(daemon: InProcess, target: str, limit: int) -> list[Any]:
    """What all pages of a list hold, each page found by what the one before it says."""
    (name,) = {"requests", "conversations"} & set(await get(daemon, target))
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await get(daemon, f"{target}?limit={limit}&cursor={cursor}")
        found += page[name]
        cursor = page["next"]
    return found
