"""What a configuration comes to: settings that nobody changes, with the defaults that the manual names."""

from pathlib import Path

import msgspec
import pytest

from claude_proxy.config.settings import Settings
from claude_proxy.forwarding.retry import RetrySettings
from claude_proxy.upstreams.breaker import BreakerSettings
from claude_proxy.upstreams.transport import TransportSettings
from claude_proxy.web.guard import AccessSettings
from claude_proxy.web.protocol import LimitSettings
from tests.config.loading import loaded


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "")
    parts = [getattr(settings, name) for name in Settings.__struct_fields__]
    members = [settings.upstreams["claude"], settings.credentials["claude"], settings.routes[0]]
    for part in (settings, *parts, *members):
        if isinstance(part, msgspec.Struct):
            with pytest.raises(AttributeError, match="immutable"):
                setattr(part, part.__struct_fields__[0], None)


def test_the_rooms_own_defaults_are_those_of_the_manual(tmp_path: Path) -> None:
    """A room that is built without a configuration, as its tests do it, behaves as the manual says."""
    settings = loaded(tmp_path, "")
    assert settings.retry == RetrySettings()
    assert settings.breaker == BreakerSettings()
    assert settings.limits == LimitSettings()
    assert settings.access == AccessSettings()
    assert settings.upstreams["claude"].transport == TransportSettings()


def test_the_access_token_is_not_in_what_is_printed_of_the_settings(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", {"AUTH_TOKEN": "FAKE-token"})
    assert settings.access.token == "FAKE-token"
    assert "FAKE" not in repr(settings)
