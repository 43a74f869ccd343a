"""The block in a shell's file: any bytes come back, and real shells understand what it says."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.toggle.refusals import InvalidText
from claude_proxy.toggle.settings_text import BASE_URL, TOOL_SEARCH
from claude_proxy.toggle.shell_block import (
    BEGIN,
    END,
    FISH,
    POSIX,
    Block,
    Shell,
    Syntax,
    find,
    put,
    remove,
    render,
    set_line,
    unset_line,
)
from tests.conftest import need
from tests.toggle.generated import shell_bytes
from tests.toggle.user import URL

HOME = "/home/u"
FLAG = "/home/u/.local/state/claude-proxy/routing-on"
VARIABLES = {BASE_URL: URL, TOOL_SEARCH: "true"}
BLOCK = render(POSIX, FLAG, HOME, VARIABLES)
SHELLS = [("sh", POSIX), ("bash", POSIX), ("zsh", POSIX), ("fish", FISH)]
ODD = {"ODD": "it's \"odd\" $HOME `x` \\ \\' end"}


@settings(max_examples=500)
@given(shell_bytes())
def test_any_file_comes_back_to_the_byte(before: bytes) -> None:
    after = put(before, BLOCK, "rc")
    blocks = find(after, "rc")
    assert [block.text for block in blocks] == [BLOCK]
    assert after.startswith(before)
    assert remove(after, blocks) == before


@settings(max_examples=200)
@given(shell_bytes(), shell_bytes())
def test_lines_added_since_stay(before: bytes, added: bytes) -> None:
    after = put(before, BLOCK, "rc")
    if not after.endswith(b"\n"):
        added = b"\n" + added
    rest = remove(after + added, find(after + added, "rc"))
    assert rest.endswith(added)
    assert rest.startswith(before)


@settings(max_examples=200)
@given(shell_bytes(), st.sampled_from([BLOCK, render(POSIX, FLAG, HOME, {BASE_URL: "http://127.0.0.1:9"})]))
def test_another_block_takes_its_place(before: bytes, other: bytes) -> None:
    first = put(before, BLOCK, "rc")
    second = put(first, other, "rc")
    assert second == first.replace(BLOCK, other)
    assert remove(second, find(second, "rc")) == before


def test_of_several_blocks_one_is_left() -> None:
    twice = b"a\n" + BLOCK + b"\nb\n" + BLOCK + b"\nc"
    assert put(twice, BLOCK, "rc") == b"a\n" + BLOCK + b"\nb\nc"
    assert remove(twice, find(twice, "rc")) == b"a\nb\nc"


def test_it_says_what_it_is() -> None:
    assert BLOCK.decode() == (
        "# >>> claude-proxy >>>\n"
        "# Written by `proxy-toggle enable`; `proxy-toggle disable` removes these lines.\n"
        'if [ -f "$HOME/.local/state/claude-proxy/routing-on" ]; then\n'
        "  export ANTHROPIC_BASE_URL=http://127.0.0.1:8082\n"
        "  export ENABLE_TOOL_SEARCH=true\n"
        "fi\n"
        "# <<< claude-proxy <<<"
    )


@pytest.mark.parametrize("syntax", [POSIX, FISH])
def test_what_it_exports_is_read_again(syntax: Syntax) -> None:
    assert Block(0, 0, render(syntax, FLAG, HOME, VARIABLES)).variables == VARIABLES
    assert Block(0, 0, BEGIN + b"\n  export A='open\n" + END).variables == {"A": ""}


def test_a_block_without_end_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidText, match=r"^\.zshenv:2: the block that begins here has no end"):
        find(b"a\n" + BEGIN + b"\nexport A=b\n", ".zshenv")


def test_a_marker_within_a_line_is_none() -> None:
    assert find(b"echo " + BEGIN + b"\n", "rc") == []


def said(shell: str, file: Path, home: Path, name: str) -> str:
    """What a shell that reads the file then has in a variable."""
    program = need(shell, f"apt-get install {shell}")
    show = f'printf "%s" "${name}"'
    done = subprocess.run(
        [program, "-c", f". {file}\n{show}"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize(("shell", "syntax"), SHELLS)
@pytest.mark.parametrize("flag", [".local/state/claude-proxy/routing-on", "it's o$d/fl\"ag"])
def test_shells_export_only_while_the_flag_is_there(shell: str, syntax: Syntax, flag: str, tmp_path: Path) -> None:
    path = tmp_path / flag
    path.parent.mkdir(parents=True)
    file = tmp_path / "rc"
    # In POSIX shells a line before it may want to go on: a comment ends it.
    before = b"" if syntax is FISH else b"echo >/dev/null \\"
    file.write_bytes(put(before, render(syntax, str(path), str(tmp_path), VARIABLES), "rc"))
    assert said(shell, file, tmp_path, BASE_URL) == ""
    path.touch()
    assert said(shell, file, tmp_path, BASE_URL) == URL
    assert said(shell, file, tmp_path, TOOL_SEARCH) == "true"


@pytest.mark.parametrize(("shell", "syntax"), SHELLS)
def test_shells_read_any_value(shell: str, syntax: Syntax, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    file = tmp_path / "rc"
    file.write_bytes(render(syntax, str(flag), "/nowhere", ODD))
    assert said(shell, file, tmp_path, "ODD") == ODD["ODD"]


@pytest.mark.parametrize(("shell", "syntax"), SHELLS)
def test_shells_evaluate_the_lines_for_them(shell: str, syntax: Syntax, tmp_path: Path) -> None:
    whose = Shell.FISH if syntax is FISH else Shell.POSIX
    file = tmp_path / "lines"
    file.write_text("\n".join(set_line(whose, name, value) for name, value in {**VARIABLES, **ODD}.items()))
    for name, value in {**VARIABLES, **ODD}.items():
        assert said(shell, file, tmp_path, name) == value
    file.write_text(file.read_text() + "\n" + unset_line(whose, BASE_URL))
    assert said(shell, file, tmp_path, BASE_URL) == ""
    assert said(shell, file, tmp_path, TOOL_SEARCH) == "true"


def test_fish_reads_the_lines_for_the_others_too(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(set_line(Shell.POSIX, BASE_URL, URL))
    assert said("fish", file, tmp_path, BASE_URL) == URL
