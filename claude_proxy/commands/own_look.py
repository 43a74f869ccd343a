"""A look into the stores by the command itself, in the order of the configuration: where no daemon tells."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from claude_proxy.commands.options import told_if_faulty
from claude_proxy.commands.standing import CredentialStanding
from claude_proxy.config.load import load
from claude_proxy.config.settings import CredentialSettings
from claude_proxy.credentials.credential import Credential, CredentialUnavailable
from claude_proxy.credentials.token_store import EXPIRY_SKEW
from claude_proxy.supplies import source_named


def look_at_all(path: Path | None, environment: Mapping[str, str]) -> list[tuple[CredentialStanding, tuple[str, ...]]]:
    """How each credential stands that an upstream uses, with its sources. A faulty configuration ends the program."""
    settings = told_if_faulty(lambda: load(path, environment))
    used = dict.fromkeys(upstream.credential for upstream in settings.upstreams.values())
    credentials = [settings.credentials[name] for name in used if name is not None]
    found = asyncio.run(_all(credentials, environment))
    return [(standing, one.sources) for standing, one in zip(found, credentials, strict=True)]


def look_at(name: str, sources: tuple[str, ...], environment: Mapping[str, str]) -> CredentialStanding:
    """How one credential stands, whose sources a daemon has named but not looked into yet."""
    return asyncio.run(_all([CredentialSettings(name, sources, 0.0, 5.0)], environment))[0]


def look_closely(
    settings: CredentialSettings, environment: Mapping[str, str]
) -> tuple[CredentialStanding, Credential | None]:
    """How a credential stands, and the login that lies there and has expired."""
    return asyncio.run(_look(settings, environment))


async def _all(credentials: list[CredentialSettings], environment: Mapping[str, str]) -> list[CredentialStanding]:
    found = await asyncio.gather(*(_look(one, environment) for one in credentials))
    return [standing for standing, _ in found]


async def _look(
    settings: CredentialSettings, environment: Mapping[str, str]
) -> tuple[CredentialStanding, Credential | None]:
    expired: Credential | None = None
    nothing = CredentialStanding(settings.name, "absent", None, None, None, "store")
    complaints: list[str] = []
    for name in settings.sources:
        if name == "client":
            return replace(
                nothing, state="pass-through", source=name, detail="what the client brings is handed on"
            ), None
        source = source_named(name, settings, environment)
        try:
            found = await source.read()
        except CredentialUnavailable as error:
            complaints.append(str(error))
            continue
        if found is None:
            continue
        if _expired(found):
            complaints.append(f"the login in {source.place} has expired or is about to; run `claude`, which renews it")
            expired = expired or found
            continue
        return replace(nothing, state="present", source=name, expires_at=found.expires_at), None
    if complaints:
        return replace(nothing, state="unusable", detail="; ".join(complaints)), expired
    return replace(nothing, detail=f"nothing in {', '.join(settings.sources)}"), None


def _expired(credential: Credential) -> bool:
    return credential.expires_at is not None and time.time() >= credential.expires_at - EXPIRY_SKEW
