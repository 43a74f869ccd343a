"""Whose secret an upstream is called with: the sources that the configuration names, put together."""

from collections.abc import Callable, Mapping
from pathlib import Path

from claude_proxy.config.settings import CredentialSettings
from claude_proxy.credentials.chain import SupplyChain
from claude_proxy.credentials.claude_program import login_file
from claude_proxy.credentials.credential import (
    Credential,
    CredentialSource,
    CredentialSupply,
    Scheme,
    anthropic_credential,
    one_word,
)
from claude_proxy.credentials.environment import EnvironmentSource
from claude_proxy.credentials.file import FileSource
from claude_proxy.credentials.guard import SubscriptionGuard
from claude_proxy.credentials.key_file import keys_directory
from claude_proxy.credentials.keychain import KeychainSource, claude_item
from claude_proxy.credentials.login import read_login
from claude_proxy.credentials.own_key import OwnKeySource
from claude_proxy.credentials.pass_through import PassThrough
from claude_proxy.credentials.refresh import Refresher
from claude_proxy.credentials.spelling import SETUP_TOKEN, STORED_SETUP_TOKEN, is_login_file
from claude_proxy.credentials.token_store import TokenStore

Learn = Callable[[str], None]


def supply(
    settings: CredentialSettings,
    sentinels: frozenset[str],
    environment: Mapping[str, str],
    learn: Learn,
    refresher: Refresher | None = None,
) -> CredentialSupply:
    """The supply for a list of sources: `client` where it stands, runs of other sources around it as stores."""
    guard = SubscriptionGuard()
    supplies: list[CredentialSupply] = []
    run: list[CredentialSource] = []

    def close_run() -> None:
        if run:
            stored = any(source.name in {"keychain", "file"} for source in run)
            supplies.append(
                TokenStore(
                    tuple(run),
                    guard,
                    ttl=settings.cache_ttl,
                    learn=learn,
                    refresh=settings.refresh if stored else None,
                    refresher=refresher,
                )
            )
            run.clear()

    for name in settings.sources:
        if name == "client":
            close_run()
            supplies.append(PassThrough(sentinels))
        else:
            run.append(source_named(name, settings, environment))
    close_run()
    return supplies[0] if len(supplies) == 1 else SupplyChain(supplies)


def source_named(name: str, settings: CredentialSettings, environment: Mapping[str, str]) -> CredentialSource:
    """The source of this spelling; all but `client`, which is no place."""
    timeout = settings.read_timeout
    kind, _, rest = name.partition(":")
    match kind, rest:
        case "env", "CLAUDE_CODE_OAUTH_TOKEN":
            return EnvironmentSource(rest, environment, _setup_token)
        case "env", variable:
            return EnvironmentSource(variable, environment, _key)
        case "keychain", _:
            service, account = claude_item(environment)
            return KeychainSource(name, service, account, read_login, timeout=timeout)
        case "keyring", _ if name == STORED_SETUP_TOKEN:
            keys = keys_directory(environment)
            # Asked for in every household, and there in few: no keychain is read for nothing.
            return OwnKeySource(name, SETUP_TOKEN, _setup_token_text, keys, timeout=timeout, noted_only=True)
        case "keyring", entry:
            return OwnKeySource(name, entry, _key_text, keys_directory(environment), timeout=timeout)
        case "file", "":
            return FileSource(name, login_file(environment), read_login, timeout=timeout)
        case "file", path if is_login_file(name):
            return FileSource(name, Path(path).expanduser(), read_login, timeout=timeout, private=True)
        case _:
            return FileSource(name, Path(rest).expanduser(), _key_text, timeout=timeout, private=True)


def _key(secret: str, source: str) -> Credential:
    """A key as Anthropic's own API takes it; any other upstream sets its own header (`auth`)."""
    return anthropic_credential(one_word(secret, source), source)


def _setup_token(secret: str, source: str) -> Credential:
    """What `claude setup-token` printed: a login for a year, which nobody renews."""
    return Credential(one_word(secret, source), Scheme.BEARER, source, stored_login=True)


def _key_text(text: str, source: CredentialSource) -> Credential | None:
    return anthropic_credential(one_word(text, source.place), source.name) if text.strip() else None


def _setup_token_text(text: str, source: CredentialSource) -> Credential | None:
    return _setup_token(text, source.name) if text.strip() else None
