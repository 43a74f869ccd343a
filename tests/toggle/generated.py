"""Generated files as users have them: settings.json in every layout that JSON allows, and shells' start-up files."""

import json
from typing import Any

from hypothesis import strategies as st

from claude_proxy.toggle.shell_block import BEGIN

OTHER_GATEWAY = "https:\\/\\/gateway.example\\/\\u0061nthropic"  # as it may be written in JSON

blanks = st.text(" \t\n\r", max_size=4)
some_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def escaped(text: str) -> str:
    """A JSON string with every character written as an escape."""
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2)) + '"'


def written(text: str) -> st.SearchStrategy[str]:
    """A string in each way that JSON can write it."""
    return st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False), escaped(text)])


strings = some_text.flatmap(written) | st.just('"\\ud800"')
scalars = strings | st.sampled_from(["0", "-1.50e+10", "1" * 5000, "true", "false", "null", '"{\\"env\\": {}}"'])


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[tuple[str, str]], min_size: int = 0) -> str:
    """An object with these members (key and value as JSON) and any blanks between them."""
    pairs = draw(st.lists(members, min_size=min_size, max_size=4))
    parts = [f"{draw(blanks)}{key}{draw(blanks)}:{draw(blanks)}{value}{draw(blanks)}" for key, value in pairs] or [
        draw(blanks)
    ]
    return "{" + ",".join(parts) + "}"


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    parts = [f"{draw(blanks)}{item}{draw(blanks)}" for item in draw(st.lists(items, max_size=3))] or [draw(blanks)]
    return "[" + ",".join(parts) + "]"


values = st.recursive(scalars, lambda inner: arrays(inner) | objects(st.tuples(strings, inner)), max_leaves=6)

# Names that are nearly ours, in `env` and elsewhere.
near_names = st.sampled_from(
    ["anthropic_base_url", "ANTHROPIC_BASE_URL ", "ENABLE_TOOL_SEARCH_", "PATH", "", "env", "ä"]
)
variables = st.tuples(near_names.flatmap(written), strings)
env_blocks = objects(variables)
others = st.tuples(
    st.sampled_from(["ANTHROPIC_BASE_URL", "Env", "permissions", "apiKeyHelper", "model"]).flatmap(written), values
)


@st.composite
def free_layout(draw: st.DrawFn) -> str:
    """With blanks anywhere, keys escaped, and `env` absent, empty, filled or there twice."""
    env = st.tuples(written("env"), env_blocks)
    return draw(blanks) + draw(objects(others | env)) + draw(blanks)


@st.composite
def usual_layout(draw: st.DrawFn) -> str:
    """As programs and people write it: indented by spaces or tabs, or on one line, with or without a last line end."""
    names = st.text("ABC_", min_size=1, max_size=4)
    document: dict[str, Any] = draw(st.dictionaries(names, st.text("xyz", max_size=3) | st.lists(st.integers(0, 9))))
    if draw(st.booleans()):
        document["env"] = draw(st.dictionaries(names, st.text("xyz", max_size=3), max_size=3))
    if draw(st.booleans()):
        document["model"] = "opus"
    text = json.dumps(document, indent=draw(st.sampled_from([None, 0, 1, 2, 4, "\t"])))
    return (text + draw(st.sampled_from(["", "\n", "\n\n"]))).replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"])))


@st.composite
def settings_bytes(draw: st.DrawFn) -> bytes:
    """A settings.json that Claude Code can read and that says nothing of our keys; it may be blank."""
    text = draw(free_layout() | usual_layout() | blanks)
    return (draw(st.sampled_from(["", "", "\ufeff"])) + text).encode()


@st.composite
def settings_with_another_gateway(draw: st.DrawFn) -> bytes:
    """With a base URL of another gateway in its `env`, perhaps twice."""
    ours = st.tuples(written("ANTHROPIC_BASE_URL"), st.just(f'"{OTHER_GATEWAY}"'))
    env = draw(objects(ours | variables, min_size=1).filter(lambda text: OTHER_GATEWAY in text))
    members = [*draw(st.lists(others, max_size=2)), (draw(written("env")), env), *draw(st.lists(others, max_size=2))]
    parts = [f"{draw(blanks)}{key}{draw(blanks)}:{draw(blanks)}{value}" for key, value in members]
    return ("{" + ",".join(parts) + draw(blanks) + "}" + draw(blanks)).encode()


shell_lines = st.sampled_from(
    [
        b"export EDITOR=vim",
        b"# a comment",
        b"# >>> conda initialize >>>",
        b"# <<< conda initialize <<<",
        b"  " + BEGIN + b" (indented: no block)",
        b"#" + BEGIN,
        b"if true; then",
        b"fi",
        b"PS1='\xff\xfe'",
        b"alias ll='ls -l' \\",
        b"",
        b"\t",
    ]
) | st.binary(max_size=6).filter(lambda line: b"\n" not in line)


@st.composite
def shell_bytes(draw: st.DrawFn) -> bytes:
    """A shell's file: any lines and line ends, with or without a last one."""
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return end.join(draw(st.lists(shell_lines, max_size=6))) + draw(st.sampled_from([b"", end, b"\n\n"]))
