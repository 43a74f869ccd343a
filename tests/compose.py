"""docker-compose.yml as Compose reads it: variables put in, then YAML."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.house.source import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"

# The innermost first: a default may name a variable itself.
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^${}]*))?\}")


class Missing(Exception):
    """A variable that must be set is not; the text is the file's own."""


def composed(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with these variables (docs.docker.com/reference/compose-file/interpolation). Raises Missing."""

    def value(found: re.Match[str]) -> str:
        name, operator, text = found.groups()
        if operator == ":?" and not variables.get(name):
            raise Missing(text)
        return variables.get(name) or text or ""

    # What stands in comments is no variable.
    text = re.sub(r"^\s*#.*$", "", COMPOSE_FILE.read_text(), flags=re.MULTILINE)
    while _VARIABLE.search(text):
        text = _VARIABLE.sub(value, text)
    assert "${" not in text
    tree = yaml.safe_load(text)
    assert isinstance(tree, dict)
    return tree


def environment_of(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """What a service's process finds in its environment; a variable without a value is handed on where it is set."""
    given = composed(variables)["services"][name]["environment"]
    handed_on = {key: variables[key] for key, text in given.items() if text is None and key in variables}
    return {key: str(text) for key, text in given.items() if text is not None} | handed_on
