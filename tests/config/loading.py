"""Configurations as a test writes them, and what is complained of in them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from claude_proxy.config.load import load
from claude_proxy.config.settings import Settings
from claude_proxy.config.tree import ConfigurationError


def loaded(
    home: Path, text: str, env: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """What this file comes to, in an environment of nothing but this."""
    file = home / "config.yaml"
    file.write_text(text)
    return load(file, env or {}, overrides)


def faults(
    home: Path, text: str, env: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> list[str]:
    """Every complaint of this file; its name is shortened to `config.yaml`."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(home, text, env, overrides)
    return [str(complaint).replace(str(home / "config.yaml"), "config.yaml") for complaint in refused.value.complaints]
