"""Where things lie: Claude Code's settings, the shells' start-up files, and our own receipt and flag."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from claude_proxy import directories
from claude_proxy.toggle.shell_block import FISH, POSIX, Syntax

_LOGIN_FILES = (".bash_profile", ".bash_login", ".profile")  # bash reads the first of these that is there


class ShellFile(NamedTuple):
    """A file that a shell reads when it starts."""

    path: Path
    syntax: Syntax


class Places(NamedTuple):
    """The paths of one user. `config_home` is where fish keeps its own."""

    home: Path
    settings: Path
    state: Path
    configuration: Path
    config_home: Path
    shell: str
    zsh_home: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Places":
        """As the environment says: CLAUDE_CONFIG_DIR, XDG_*, ZDOTDIR, SHELL. On macOS as elsewhere."""
        home = directories.home(environment)
        claude = environment.get("CLAUDE_CONFIG_DIR")
        return cls(
            home=home,
            settings=(Path(claude).expanduser() if claude else home / ".claude") / "settings.json",
            state=directories.our_state(environment),
            configuration=directories.our_config(environment) / "config.yaml",
            config_home=directories.config_home(environment),
            shell=Path(environment.get("SHELL", "")).name,
            zsh_home=Path(environment.get("ZDOTDIR") or home),
        )

    @property
    def receipt(self) -> Path:
        return self.state / "receipt.json"

    @property
    def flag(self) -> Path:
        """It is there while routing is on; the block in a shell's file looks for it."""
        return self.state / "routing-on"

    def shown(self, path: Path) -> str:
        """A path as a person writes it."""
        return f"~/{path.relative_to(self.home)}" if path.is_relative_to(self.home) else str(path)

    def shell_files(self) -> list[ShellFile]:
        """The files to write for the shells that are used here: the login shell, and those that have files of theirs.

        For bash its login shells' file is one of three, of which a new one would hide the others: what is there is
        taken.
        """
        found = []
        zshenv = self.home / ".zshenv"
        zsh = zshenv if zshenv.exists() else self.zsh_home / ".zshenv"
        if self.shell == "zsh" or any((self.zsh_home / name).exists() for name in (".zshenv", ".zshrc", ".zprofile")):
            found.append(ShellFile(zsh, POSIX))
        login = next((self.home / name for name in _LOGIN_FILES if (self.home / name).exists()), None)
        bashrc = self.home / ".bashrc"
        if self.shell == "bash" or bashrc.exists() or (login is not None and login.name != ".profile"):
            found += [ShellFile(bashrc, POSIX), ShellFile(login or self.home / _LOGIN_FILES[0], POSIX)]
        if self.shell == "fish" or (self.config_home / "fish").is_dir():
            found.append(ShellFile(self._fish, FISH))
        return found

    def all_shell_files(self) -> list[ShellFile]:
        """Every file in which a block of ours may stand."""
        posix = [self.home / name for name in (".zshenv", ".bashrc", *_LOGIN_FILES)]
        if self.zsh_home != self.home:
            posix.append(self.zsh_home / ".zshenv")
        return [*(ShellFile(path, POSIX) for path in posix), ShellFile(self._fish, FISH)]

    @property
    def _fish(self) -> Path:
        return self.config_home / "fish" / "conf.d" / "claude-proxy.fish"
