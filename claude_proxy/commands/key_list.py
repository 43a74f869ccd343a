"""What can be told of our own keys: where each lies, which credentials name it, which variable goes before it."""

from collections.abc import Mapping
from pathlib import Path

from claude_proxy.commands.options import told_if_faulty
from claude_proxy.config.load import load
from claude_proxy.config.settings import CredentialSettings
from claude_proxy.credentials.key_file import is_key_name, keys_directory
from claude_proxy.credentials.key_store import KeyNotStored, KeyStore

_PATIENCE = 5.0  # seconds for a keychain; where it asks a question, that is told instead

Row = dict[str, object]


def key_rows(path: Path | None, environment: Mapping[str, str]) -> list[Row]:
    """One row for each name, in alphabetical order. A faulty configuration ends the program."""
    settings = told_if_faulty(lambda: load(path, environment))
    store = KeyStore(keys_directory(environment), patience=_PATIENCE)
    named = {
        source.removeprefix("keyring:")
        for credential in settings.credentials.values()
        for source in credential.sources
        if source.startswith("keyring:")
    }
    problem = ""
    try:
        stored = store.names()
    except KeyNotStored as error:
        stored, problem = [], str(error)
    return [
        _row(name, list(settings.credentials.values()), store, environment, problem)
        for name in sorted(named | set(stored))
        if is_key_name(name)
    ]


def _row(
    name: str, credentials: list[CredentialSettings], store: KeyStore, environment: Mapping[str, str], problem: str
) -> Row:
    place: str | None = None
    try:
        place = store.find(name)
    except KeyNotStored as error:
        problem = str(error)
    users = [credential for credential in credentials if f"keyring:{name}" in credential.sources]
    return {
        "name": name,
        "place": place,
        "path": str(store.directory / name) if place == "file" else None,
        "problem": problem or None,
        "used_by": [credential.name for credential in users],
        "shadowed_by": sorted({variable for one in users for variable in _before(name, one, environment)}),
    }


def _before(name: str, credential: CredentialSettings, environment: Mapping[str, str]) -> list[str]:
    """The variables that are set here and stand before the key in a credential's order."""
    earlier = credential.sources[: credential.sources.index(f"keyring:{name}")]
    variables = [source.removeprefix("env:") for source in earlier if source.startswith("env:")]
    return [variable for variable in variables if environment.get(variable, "").strip()]
