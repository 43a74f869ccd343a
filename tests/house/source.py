"""The project's own source as the tests of the house read it: files, module names, imports."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "claude_proxy"


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path
    name: str
    tree: ast.Module

    def imports(self) -> Iterator[str]:
        """The full names of what it imports, wherever the statement stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path} has a relative import"
                assert node.module is not None
                for alias in node.names:
                    yield f"{node.module}.{alias.name}"


def modules() -> list[Module]:
    """All modules of the package, by name."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(path, name, ast.parse(path.read_text())))
    assert len(found) > 40
    return found
