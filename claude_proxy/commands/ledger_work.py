"""What `claude-proxy ledger` does: with the file itself, beside a daemon or without one."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from msgspec.structs import asdict

from claude_proxy.commands.options import CONFIG, told_if_faulty
from claude_proxy.config.load import load
from claude_proxy.ledger.export import NoExport, export_lines, import_lines
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.sqlite import SqliteStore
from claude_proxy.ledger.sqlite_reader import SqliteReader
from claude_proxy.ledger.store import Filter, LedgerError, LedgerNewer, Total

_PATIENCE = 10.0  # seconds to wait for a daemon that writes
_PAUSE = 0.005  # seconds between two steps, in which a daemon may write
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def settings(path: Path | None, overrides: Mapping[str, object] | None = None) -> LedgerSettings:
    """The ledger of the configuration; where that is faulty the program ends."""
    return told_if_faulty(lambda: load(path, os.environ, overrides)).ledger


def stats(of: LedgerSettings, *, as_json: bool) -> None:
    with _faults_told(), _reading(of) as reader:
        condition = reader.condition()
        total = reader.totals(Filter())[0]
    if as_json:
        _print_json({**asdict(condition), "exists": of.path.exists(), "totals": _sums(total)})
        return
    click.echo(f"{condition.place}" if of.path.exists() else f"{condition.place}: nothing recorded yet")
    if not of.path.exists():
        return
    unfinished = f", {condition.unfinished} of them without an end" if condition.unfinished else ""
    click.echo(f"  records  {condition.records}{unfinished}")
    if condition.oldest is not None and condition.newest is not None:
        click.echo(f"  from     {_moment(condition.oldest)} to {_moment(condition.newest)}")
    click.echo(f"  size     {_size(condition.size)}, {_size(condition.used)} of it in use")
    click.echo(f"  blocks   {condition.blocks}")
    click.echo(f"  requests {total.requests} in all, with those that were forgotten")
    click.echo(f"  kept     {_kept(of)}")


def prune(of: LedgerSettings, *, as_json: bool) -> None:
    if not of.path.exists():
        _done({"records": 0}, "nothing recorded yet", as_json=as_json)
        return
    with _faults_told(), _writing(of) as store, _reading(of) as reader:
        before = reader.condition()
        while store.prune(of.retention, time.time()):
            time.sleep(_PAUSE)
        after = reader.condition()
    forgotten = max(0, before.records - after.records)
    told = {"records": forgotten, "used_before": before.used, "used": after.used}
    text = f"forgot {forgotten} records; {_size(after.used)} are in use, {_size(before.used)} were before"
    _done(told, text, as_json=as_json)


def vacuum(of: LedgerSettings, *, as_json: bool) -> None:
    if not of.path.exists():
        _done({"size": 0}, "nothing recorded yet", as_json=as_json)
        return
    with _faults_told(), _writing(of) as store, _reading(of) as reader:
        before = reader.condition().size
        store.vacuum()
        after = reader.condition().size
    _done({"size_before": before, "size": after}, f"{_size(before)} before, {_size(after)} now", as_json=as_json)


def export(of: LedgerSettings, file: Path) -> None:
    with _faults_told(), _reading(of) as reader, _output(file) as write:
        count = 0
        for line in export_lines(reader):
            write(line)
            count += 1
    click.echo(f"{count} lines", err=True)


def import_file(of: LedgerSettings, file: Path, *, as_json: bool) -> None:
    with _faults_told(), _writing(of) as store, click.open_file(str(file), "rb") as lines:
        try:
            found = import_lines(lines, store)
        except NoExport as error:
            _fail(f"{file}: {error}; what stood before it was added", 1)
    text = f"{found.records} records, {found.new} of them new, and {found.totals} sums of records that are gone"
    _done(asdict(found), text, as_json=as_json)


def check(of: LedgerSettings, *, as_json: bool) -> None:
    with _faults_told(), _reading(of) as reader:
        faults = reader.faults()
        records = reader.count(Filter())
    if as_json:
        _print_json({"place": str(of.path), "records": records, "faults": faults})
    else:
        for fault in faults:
            click.echo(fault)
        if faults:
            click.echo(f"{len(faults)} faults in {of.path}; a daemon that cannot use it sets it aside and begins anew")
        else:
            click.echo(f"{of.path}: {records} records, nothing wrong")
    if faults:
        sys.exit(1)


@contextlib.contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        _fail(str(error), CONFIG if isinstance(error, LedgerNewer) else 1)


@contextlib.contextmanager
def _reading(of: LedgerSettings) -> Iterator[SqliteReader]:
    with contextlib.closing(SqliteReader(of.path, busy_timeout=_PATIENCE)) as reader:
        yield reader


@contextlib.contextmanager
def _writing(of: LedgerSettings) -> Iterator[SqliteStore]:
    before = os.umask(0o077)
    try:
        with contextlib.closing(SqliteStore(of.path, busy_timeout=_PATIENCE)) as store:
            yield store
    finally:
        os.umask(before)


@contextlib.contextmanager
def _output(file: Path) -> Iterator[Callable[[str], object]]:
    """Writes lines to a file of the user's alone, which is not there yet; - is stdout."""
    if str(file) == "-":
        yield click.echo
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror}", 1)
    with open(descriptor, "w", encoding="utf-8") as out:  # noqa: PTH123 - from a descriptor, to set its mode
        yield lambda line: out.write(f"{line}\n")


def _done(told: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(told)
    else:
        click.echo(text)


def _print_json(told: Mapping[str, Any]) -> None:
    click.echo(json.dumps(told, indent=2))


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"claude-proxy: {text}", err=True)
    sys.exit(code)


def _sums(total: Total) -> dict[str, Any]:
    return {name: value for name, value in asdict(total).items() if name != "key"}


def _kept(of: LedgerSettings) -> str:
    days, size = of.retention.keep / 86400, of.retention.max_size
    time_kept = f"for {days:g} days" if days else "for ever"
    return f"{time_kept}, up to {_size(size)}" if size else time_kept


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _size(size: int) -> str:
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{size} bytes" if not unit else f"{amount:.1f} {_UNITS[unit]}"
