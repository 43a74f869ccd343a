"""The ledger in an SQLite file: what one thread writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from claude_proxy.ledger.batch import ADD, Batch
from claude_proxy.ledger.blocks import Blocks
from claude_proxy.ledger.pieces import Cut, Cuts
from claude_proxy.ledger.redaction import Redaction
from claude_proxy.ledger.retention import prune_step
from claude_proxy.ledger.rows import SUMS
from claude_proxy.ledger.sqlite_file import open_to_write, told
from claude_proxy.ledger.sqlite_reader import SqliteReader, remainders
from claude_proxy.ledger.store import Change, LedgerBusy, Retention, Total

_TABLES = ("exchange", "body", "block", "content", "conversation", "usage")
_SPARE_PAGES = 1024
_PAGES_AT_ONCE = 128


class SqliteStore:
    """See `LedgerStore`. `breathe` is called where a long piece of work may pause.

    Two processes may write to one file, as they do while one hands over to the next: each transaction waits for the
    other's for up to `busy_timeout` seconds, and takes nothing for granted that was read before it.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 1.0, breathe: Callable[[], object] = lambda: None) -> None:
        """Opens the file, or makes it. Raises LedgerError."""
        self.path = path
        self._busy_timeout = busy_timeout
        self._breathe = breathe
        self._connection = open_to_write(path, busy_timeout)
        self._inode = _inode(path)
        self._blocks = Blocks(self._connection, breathe)
        self._cuts = Cuts(breathe)
        self._redaction = Redaction(frozenset(), breathe)

    def write(self, changes: Sequence[Change]) -> None:
        cuts = [self._cut(change) for change in changes]
        with self._transaction():
            batch = Batch(self._connection, self._blocks, changes, cuts)
            for change, its_cut in zip(changes, cuts, strict=True):
                batch.add(change, its_cut, self._redaction_of(change.secrets))
                self._breathe()
            batch.write()

    def _cut(self, change: Change) -> Cut | None:
        record, bodies = change.record, change.bodies
        if bodies is None or bodies.request is None:
            return None
        return self._cuts.cut(bodies.request, (record.conversation, record.agent), bodies.members)

    def _redaction_of(self, secrets: frozenset[str]) -> Redaction:
        """Nearly always the same as before."""
        if self._redaction.secrets != secrets:
            self._redaction = Redaction(secrets, self._breathe)
        return self._redaction

    def add_totals(self, totals: Sequence[Total]) -> int:
        with self._transaction():
            there = {total.key for total in remainders(self._connection)}
            new = [total for total in totals if total.key not in there]
            for total in new:
                key = ["" if value is None else value for value in total.key]
                self._connection.execute(ADD, [*key, *(getattr(total, name) for name in SUMS)])
        return len(new)

    def prune(self, retention: Retention, now: float) -> bool:
        with self._transaction():
            did = prune_step(self._connection, retention, now)
            if did:
                self._blocks.forget()
        return did or self._give_space_back()

    def _give_space_back(self) -> bool:
        """Some pages that nothing uses; a few stay for what comes next."""
        with told(self.path):
            if self._connection.execute("PRAGMA freelist_count").fetchone()[0] <= _SPARE_PAGES:
                return False
            # Not `execute`: that would take one step of it, and so give back one page.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE});")
        return True

    def clear(self) -> int:
        """As `LedgerStore.clear`; what is forgotten is overwritten, in the file and, if nobody reads, in its log."""
        with told(self.path):
            self._connection.execute("PRAGMA secure_delete = 1").fetchall()
        try:
            with self._transaction():
                self._blocks.forget()
                records: int = self._connection.execute("SELECT count(*) FROM exchange").fetchone()[0]
                for table in _TABLES:
                    self._connection.execute(f"DELETE FROM {table}")
        finally:
            with told(self.path):
                self._connection.execute("PRAGMA secure_delete = FAST").fetchall()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return records

    def vacuum(self) -> None:
        """Gives all free space back to the disk; long, and not to be done while a daemon writes."""
        with told(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path, busy_timeout=self._busy_timeout)

    def close(self) -> None:
        with told(self.path):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        if _inode(self.path) != self._inode:
            raise LedgerBusy(f"the ledger {self.path} was removed or replaced, and has to be opened anew")
        with told(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                self._blocks.forget()
                if connection.in_transaction:  # SQLite ends it by itself where the disk is full
                    connection.execute("ROLLBACK")
                raise


def _inode(path: Path) -> int:
    with told(path):
        return path.stat().st_ino
