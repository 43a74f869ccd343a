"""`claude-proxy key`: the keys of other providers, stored, listed and forgotten; never shown."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from claude_proxy.commands.options import NO_CREDENTIAL, config_option
from claude_proxy.commands.secret_input import read_secret
from claude_proxy.config.layers import lay
from claude_proxy.credentials.key_file import is_key_name, keys_directory
from claude_proxy.credentials.spelling import SETUP_TOKEN

NEVER_AN_ARGUMENT = (
    "a secret is never taken from the command line, where every program can read it; give it when it is asked for, or "
    "on stdin. If this was one, replace it, since it has been written down"
)

# As `claude setup-token` prints it.
_SETUP_TOKEN_FORM = re.compile(r"sk-ant-oat\d\d-[A-Za-z0-9_-]{8,}")

# ABSENCE_TTL and `cache_ttl` of credentials/token_store.py, for a person.
_SEEN_WHEN = (
    "A running daemon that had none finds it within 30 s. One that had another goes on with that until it is refused, "
    "or for cache_ttl (5m). At once: kill -HUP with the pid that `claude-proxy status` shows."
)
_GONE_WHEN = (
    "A running daemon that has read it may use it for cache_ttl (5m) more. "
    "Not so after kill -HUP with the pid that `claude-proxy status` shows."
)


@click.group()
def key() -> None:
    """Keep keys in the OS keychain, under the service claude-proxy.

    \b
    Examples:
      claude-proxy key set minimax
      pass show minimax | claude-proxy key set minimax
      claude-proxy key list

    Where the machine has no keychain a key lies in a file of mode 0600, and this says so. The configuration names a
    key as keyring:NAME, wherever it lies.
    """


def _name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not is_key_name(value):
        raise click.BadParameter("expected letters, digits, dots, dashes and underscores, and at most 64 of them")
    return value


_name_argument = click.argument("name", callback=_name)


@key.command("set")
@config_option
@_name_argument
@click.argument("more", nargs=-1, metavar="")
def set_key(path: Path | None, name: str, more: tuple[str, ...]) -> None:
    """Store a key under NAME. It is asked for unseen, or read from stdin where that is no terminal.

    \b
    Examples:
      claude-proxy key set minimax
      pass show minimax | claude-proxy key set minimax

    Where no credential of the configuration names it, this says so. Exit codes: 0 stored, 1 not stored, 2 wrong
    usage.
    """
    if more:
        raise click.UsageError(NEVER_AN_ARGUMENT)
    store_secret(name, read_secret(f"The key for {name}"))
    named = named_keys(path)
    if named and name not in named:
        click.echo(
            f"Nothing uses it yet: no credential of the configuration has the source keyring:{name}. "
            f"Those that there are: {', '.join(sorted(named))}",
            err=True,
        )


@key.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def list_keys(path: Path | None, *, as_json: bool) -> None:
    """List the names of all keys, where each lies, who uses it, and which variable goes before it.

    \b
    Examples:
      claude-proxy key list
      claude-proxy key list --json

    Names are those of the configuration and those that `key set` stored. Exit codes: 0, 78 faulty configuration.
    """
    # Imported here because it leads to the settings of every room: `key set` needs none of them.
    from claude_proxy.commands.key_list import key_rows

    rows = key_rows(path, dict(os.environ))
    if as_json:
        click.echo(json.dumps({"keys": rows}, indent=2))
        return
    for row in rows:
        click.echo(_line(row))


@key.command("delete")
@_name_argument
def delete_key(name: str) -> None:
    """Forget the key NAME, wherever it lies.

    \b
    Example:
      claude-proxy key delete minimax

    Exit codes: 0 forgotten, 1 it could not be, 2 wrong usage, 4 there was none.
    """
    if not forget_secret(name):
        click.echo(f"there is no key {name!r}; `claude-proxy key list` shows those that there are", err=True)
        sys.exit(NO_CREDENTIAL)


def named_keys(path: Path | None) -> set[str]:
    """The keys that the configuration's credentials name, as far as it can be read: its faults are `check`'s affair."""
    credentials = lay(path, os.environ).tree.value.get("credentials")
    named = set()
    for credential in credentials.value.values() if credentials and isinstance(credentials.value, dict) else ():
        sources = credential.value.get("sources") if isinstance(credential.value, dict) else None
        for source in sources.value if sources and isinstance(sources.value, list) else ():
            if isinstance(source.value, str) and source.value.startswith("keyring:"):
                named.add(source.value.removeprefix("keyring:"))
    return named


def store_secret(name: str, secret: str) -> None:
    """Checks a key's form, stores it and says where."""
    # Imported here because it leads to asyncio, which --help need not wait for.
    from claude_proxy.credentials.credential import CredentialUnavailable, one_word
    from claude_proxy.credentials.key_store import KeyNotStored, KeyStore, Place

    if name == SETUP_TOKEN and not _SETUP_TOKEN_FORM.fullmatch(secret):
        raise click.ClickException(
            "this is no setup-token: one begins with sk-ant-oat01- and is one word. Run `claude setup-token` and give "
            "what it prints; nothing was stored"
        )
    store = KeyStore(keys_directory(os.environ))
    try:
        place = store.put(name, one_word(secret, "what was given"))
    except (KeyNotStored, CredentialUnavailable) as error:
        raise click.ClickException(f"{name} was not stored: {error}") from None
    if place is Place.KEYCHAIN:
        click.echo(f"stored {name} in the keychain, under the service claude-proxy")
    else:
        click.echo(f"stored {name} in {store.directory / name}: this machine has no keychain, so it lies in that file")
    click.echo(_SEEN_WHEN, err=True)


def forget_secret(name: str) -> bool:
    """Forgets a key and says from where; False where there was none."""
    # Imported here because it leads to asyncio, which --help need not wait for.
    from claude_proxy.credentials.key_store import KeyNotStored, KeyStore, Place

    try:
        places = KeyStore(keys_directory(os.environ)).remove(name)
    except KeyNotStored as error:
        raise click.ClickException(f"{name} was not forgotten everywhere: {error}") from None
    for place in sorted(places):
        click.echo(f"forgot {name}, which lay in {'the keychain' if place is Place.KEYCHAIN else 'its file'}")
    if places:
        click.echo(_GONE_WHEN, err=True)
    return bool(places)


def _line(row: Mapping[str, object]) -> str:
    used, shadows = row["used_by"], row["shadowed_by"]
    place = f"in {row['path']}" if row["place"] == "file" else row["place"] or row["problem"] or "not stored"
    parts = [f"{row['name']:<20} {place}"]
    parts.append(f"used by {', '.join(used)}" if isinstance(used, list) and used else "used by no credential")
    if isinstance(shadows, list) and shadows:
        parts.append(f"{', '.join(shadows)} goes before it")
    return " · ".join(parts)
