"""`disable(enable(x)) == x`, byte for byte, over generated homes: files, links, modes, and what is not there."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_proxy.toggle.switch import Via
from tests.toggle.generated import settings_bytes, settings_with_another_gateway, shell_bytes
from tests.toggle.user import OTHER_PORT, URL, User

SHELL_FILES = (
    ".zshenv",
    ".zshrc",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".config/fish/conf.d/claude-proxy.fish",
    ".config/fish/config.fish",
)
modes = st.sampled_from([0o644, 0o600, 0o444, 0o400])
ways = st.sampled_from(["plain", "plain", "link", "link to a directory", "link to nothing yet", "link to .bashrc"])


@st.composite
def homes(draw: st.DrawFn) -> dict[str, tuple[bytes, int, str]]:
    """Names below the home: content, mode, and whether by a link."""
    found = {}
    for name in SHELL_FILES:
        if draw(st.booleans()):
            found[name] = (draw(shell_bytes()), draw(modes), draw(ways))
    if draw(st.booleans()):
        found[".claude/settings.json"] = (
            draw(settings_bytes() | settings_with_another_gateway()),
            draw(modes),
            draw(ways),
        )
    elif draw(st.booleans()):
        found[".claude/other"] = (b"", 0o600, "plain")
    return found


def furnish(user: User, home: dict[str, tuple[bytes, int, str]]) -> None:
    for name, (data, mode, way) in home.items():
        path = user.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dotfiles = user.home / "dotfiles" / name.replace("/", "-")
        match way:
            case "plain":
                user.write(name, data, mode)
            case "link":
                user.write(str(dotfiles.relative_to(user.home)), data, mode)
                path.symlink_to(dotfiles)
            case "link to a directory":
                user.write(str((dotfiles / path.name).relative_to(user.home)), data, mode)
                (user.home / "dotfiles" / f"to-{dotfiles.name}").symlink_to(dotfiles.name)
                path.symlink_to(user.home / "dotfiles" / f"to-{dotfiles.name}" / path.name)
            case "link to .bashrc" if name in {".bash_profile", ".profile"}:
                path.symlink_to(".bashrc")
            case _:
                dotfiles.parent.mkdir(exist_ok=True)
                path.symlink_to(dotfiles)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    homes(),
    st.sampled_from(["zsh", "bash", "fish"]),
    st.lists(st.sampled_from([Via.SETTINGS, Via.SHELL]), min_size=1, max_size=3),
    st.booleans(),
)
def test_off_leaves_every_byte_as_it_was(
    home: dict[str, tuple[bytes, int, str]], shell: str, turns: list[Via], with_haiku: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        user = User(Path(directory) / "home", shell)
        furnish(user, home)
        before = user.tree()
        has_gateway = b"gateway" in home.get(".claude/settings.json", (b"",))[0]
        for number, via in enumerate(turns):
            user.enable(
                Via.SETTINGS if has_gateway else via,  # it would win over the shells
                OTHER_PORT if number == 1 else URL,
                take_over=True,
                haiku=with_haiku and number == 0,
            )
            assert user.tree() != before
        outcome = user.disable()
        assert outcome.failures == ()
        assert user.tree() == before
        assert list(user.places.state.iterdir()) == []
