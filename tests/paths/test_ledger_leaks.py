"""No credential is in the ledger: not in the file's bytes nor in its log's, and in nothing that is packed in it."""

from pathlib import Path

from claude_proxy.ledger.store import Filter
from tests.asking import ask
from tests.claude_request import SENTINEL, claude_body, claude_headers
from tests.paths.canaries import (
    CANARIES,
    QUERY_KEY,
    RENEWED_ACCESS_TOKEN,
    RENEWED_REFRESH_TOKEN,
    REPEATING,
    STORED_REFRESH_TOKEN,
    found_in,
)
from tests.paths.leaks import BROUGHT, LOGIN, QUERY
from tests.paths.test_leaks_objects import MODELS, ask_one, with_every_secret
from tests.paths.test_ledger import Ledger, ledger_of
from tests.running import eventually
from tests.stand_in import says

# Never read here, and so not known to anybody.
UNKNOWN = {STORED_REFRESH_TOKEN, RENEWED_ACCESS_TOKEN, RENEWED_REFRESH_TOKEN}


async def test_no_secret_is_in_the_ledger(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with with_every_secret(home) as (daemon, hosts):
        for number, answer in enumerate((says(), *REPEATING.values())):
            for host in hosts.values():
                host.answer = answer
            daemon.house.reload(daemon.house.settings)
            for model in MODELS:
                await ask_one(daemon, model, stream=number % 2 == 0)
        for host in hosts.values():
            host.answer = says()
        placeholder = claude_headers({"x-api-key": SENTINEL, **BROUGHT})
        await ask(f"{daemon.url}/v1/messages", claude_body(model="claude-x"), placeholder)  # with the stored login
        # By now every secret is known; a conversation that quotes them all is kept without them.
        quoted = " and ".join(secret for secret in CANARIES.values() if secret not in UNKNOWN)
        body = claude_body(f"I know {quoted}. " * 3, system=f"They are {quoted}", metadata={"user_id": quoted})
        await ask(f"{daemon.url}/v1/messages{QUERY}", body, claude_headers({**LOGIN, **BROUGHT}))
        await ask(f"{daemon.url}/v1/files/{QUERY_KEY}{QUERY}", None, {**LOGIN, **BROUGHT}, method="GET")
        recorder = daemon.house.recorder
        assert recorder is not None
        await eventually(lambda: recorder.state.waiting == 0)
        files = [path for path in ledger_of(home).parent.iterdir() if path.name.startswith("ledger.db")]
        assert {path.name for path in files} >= {"ledger.db", "ledger.db-wal"}
        for path in files:
            assert found_in(path.read_bytes().decode("latin-1")) == set(), path
    ledger = Ledger(home)
    records = ledger.reader.records(Filter(), 1000)
    assert len(records) == (len(REPEATING) + 1) * len(MODELS) + 3
    kept = {record.id: ledger.reader.bodies(record.id) for record in records}
    shown = [
        f"{record}{bodies and (bodies.request_headers, bodies.answer_headers)}"
        for record, bodies in zip(records, kept.values(), strict=True)
    ]
    packed = [piece.decode("latin-1") for one in kept.values() if one for piece in (one.request, one.answer) if piece]
    conversations = str(ledger.reader.conversations(Filter(), 100))
    exported_faults = ledger.reader.faults()
    ledger.reader.close()
    assert [names for text in (*shown, *packed, conversations) if (names := found_in(text))] == []
    assert exported_faults == []
    (quoting,) = [record for record in records if record.request_bytes == len(body)]
    assert quoting.altered
    assert any(record.altered for record in records[3:])  # the upstreams repeat what they were called with
    assert not all(record.altered for record in records)
    stored = kept[quoting.id]
    assert stored is not None
    assert stored.request is not None
    assert len(stored.request) == len(body)
