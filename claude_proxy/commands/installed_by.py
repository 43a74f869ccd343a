"""Who installed this program, and so which command removes it."""

import json
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "claude-proxy"


def removal(prefix: Path | None = None) -> str:
    """The command that removes the program itself, or what to do where there is none."""
    prefix = prefix or Path(sys.prefix)
    if (prefix / "uv-receipt.toml").exists():  # so `uv tool install` marks its environments
        return f"uv tool uninstall {NAME}"
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx uninstall {NAME}"
    clone, installer = _installation()
    if clone is not None:
        return f"it is a clone of the repository: remove {clone}"
    if installer == "uv":
        return f"uv pip uninstall --python {sys.executable} {NAME}"
    return f"{sys.executable} -m pip uninstall {NAME}"


def _installation() -> tuple[Path | None, str]:
    """The directory that it runs from where it was installed as editable, and the installer's name."""
    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        return Path(__file__).parents[2], ""
    installer = (found.read_text("INSTALLER") or "").strip()
    try:
        # https://packaging.python.org/en/latest/specifications/direct-url/
        direct = json.loads(found.read_text("direct_url.json") or "{}")
        editable = direct.get("dir_info", {}).get("editable") is True
        return Path(unquote(urlsplit(direct["url"]).path)) if editable else None, installer
    except (ValueError, KeyError, AttributeError):
        return None, installer
