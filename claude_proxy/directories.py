"""Where files of ours lie: the directories of the XDG specification, on macOS as well.

Written out, since platformdirs takes 10 ms to import, and every command wants to know. People who live in a terminal
look for ~/.config on a Mac too.
"""

import os
from collections.abc import Mapping
from pathlib import Path

NAME = "claude-proxy"

PACKAGE = Path(__file__).parent
"""The package itself, with the files that it brings.

Not by importlib.resources, which looks into archives as well: that takes a command 8 ms of the 100 that it has.
"""


def home(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("HOME") or Path.home())


def config_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where programs keep their configuration, each in a directory of its own."""
    return _xdg(environment, "XDG_CONFIG_HOME", ".config")


def our_config(environment: Mapping[str, str] = os.environ) -> Path:
    return config_home(environment) / NAME


def our_data(environment: Mapping[str, str] = os.environ) -> Path:
    return _xdg(environment, "XDG_DATA_HOME", ".local/share") / NAME


def our_state(environment: Mapping[str, str] = os.environ) -> Path:
    return _xdg(environment, "XDG_STATE_HOME", ".local/state") / NAME


def _xdg(environment: Mapping[str, str], name: str, default: str) -> Path:
    """Only an absolute path counts: https://specifications.freedesktop.org/basedir-spec/latest/"""
    given = environment.get(name, "").strip()
    return Path(given) if given.startswith("/") else home(environment) / default
