"""Variables of older proxies that are no plain settings: secrets' places, the ledger's, and those that are not used.

Those that are plain settings stand in `environment.OLDER_NAMES`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from claude_proxy.config.tree import Complaint

SECRETS: Mapping[str, str] = {
    "AUTH_TOKEN": "access.token",
    "DASHBOARD_PASSWORD": "access.dashboard_password",
    "HAIKU_PROVIDER_API_KEY": "credentials.minimax.sources",
    "REAL_ANTHROPIC_API_KEY": "credentials.claude.sources",
}
"""Variable: the setting that names it in default.yaml, as a place where this secret is looked for."""

LEDGER = ("DB_TYPE", "DATABASE_URL", "DB_PATH")
"""They come to one setting, `ledger.url`."""

UNUSED: Mapping[str, str] = {
    "OPENAI_API_KEY": "this version calls no API of OpenAI's",
    "SUBAGENT_MAPPINGS": (
        "no subagent is routed by its name; write `model: NAME` into the agent's own file, and a route for that model: "
        "{ model: NAME, to: [{ upstream: … }] }"
    ),
}
"""Variable: why it does nothing, and what to do instead."""

# What lies in many shells for other programs, and says nothing of what the user wants of this one.
_HARMLESS = frozenset({"OPENAI_API_KEY"})

_ONLY_SQLITE = "records are kept in SQLite alone by this version"
_SQLITE_URL = re.compile(r"sqlite:///.+")


def without_effect(environment: Mapping[str, str], *, harmless: bool = True) -> dict[str, str]:
    """Which variables are set and not used, and why; those that are `harmless` only where they are asked for."""
    return {
        name: reason
        for name, reason in UNUSED.items()
        if environment.get(name, "").strip() and (harmless or name not in _HARMLESS)
    }


def ledger_url(environment: Mapping[str, str], complaints: list[Complaint]) -> tuple[str, str] | None:
    """The variable that says where records are kept, and the URL that it comes to; None where none says so.

    As with older proxies, DB_TYPE=sqlite makes a DATABASE_URL of another database mean nothing. Such a URL has a
    password in it, and is never quoted.
    """
    kind, url, path = (environment.get(name, "").strip() for name in LEDGER)
    if kind and kind.lower() not in {"sqlite", "sqlite3"}:
        remedy = f"{_ONLY_SQLITE}; unset DB_TYPE, or set it to sqlite"
        complaints.append(Complaint("variable DB_TYPE", "ledger.url", remedy))
        return None
    if _SQLITE_URL.fullmatch(url):
        return "DATABASE_URL", url
    if url and not kind:
        remedy = (
            f"expected sqlite:///PATH, since {_ONLY_SQLITE}; unset it for the daemon, or set DB_TYPE=sqlite, with "
            "which it means nothing"
        )
        complaints.append(Complaint("variable DATABASE_URL", "ledger.url", remedy))
        return None
    return ("DB_PATH", f"sqlite://{Path(path).expanduser().absolute()}") if path else None
