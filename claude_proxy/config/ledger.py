"""The section `ledger`: where exchanges are recorded, what is kept of them, and for how long."""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.config.reader import Reader
from claude_proxy.config.tree import looks_secret, quoted
from claude_proxy.directories import our_data
from claude_proxy.ledger.settings import LedgerSettings
from claude_proxy.ledger.store import Retention

_SQLITE = "sqlite://"


def ledger(reader: Reader, environment: Mapping[str, str]) -> LedgerSettings:
    settings = LedgerSettings(
        enabled=reader.boolean("enabled", default=True),
        path=_path(reader, environment),
        retention=Retention(reader.duration("keep"), reader.size("max_size", 0)),
        bodies=reader.boolean("bodies", default=True),
        max_answer=reader.size("max_answer", 0),
        max_request=reader.size("max_request", 0),
        flush_interval=reader.duration("flush_interval"),
        queue_records=reader.integer("queue_records", 1, 1_000_000),
        queue_size=reader.size("queue_size", 0),
    )
    reader.finish()
    return settings


def default_ledger(environment: Mapping[str, str]) -> Path:
    """Where the ledger lies unless another place is configured: ~/.local/share/claude-proxy/ledger.db, on macOS too."""
    return our_data(environment) / "ledger.db"


def _path(reader: Reader, environment: Mapping[str, str]) -> Path:
    url = reader.text("url")
    if not url:
        return default_ledger(environment)
    rest = url.removeprefix(_SQLITE)
    # sqlite:///path and sqlite:////path are written for the same.
    path = Path(f"/{rest.lstrip('/')}")
    if not url.startswith(f"{_SQLITE}/") or path == Path("/") or "?" in url:
        shown = "a secret" if looks_secret(url) or "@" in url else quoted(url)
        reader.complain(
            "url", f"expected sqlite:/// and an absolute path, such as sqlite:///srv/ledger.db, found {shown}"
        )
    return path
