"""The API's description is valid, and describes the doors that are there: no more and no fewer."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from claude_proxy import __version__
from claude_proxy.ledger.store import Change
from claude_proxy.wire.messages import COUNT_TOKENS, MESSAGES
from tests.house.source import PACKAGE
from tests.in_process import LOGIN
from tests.ledger.made_records import record
from tests.stand_in import StandIn
from tests.web.described import examples
from tests.web.knocking import BODY, JSON, knock
from tests.web.recorded_before import recorded_before

DESCRIPTION: dict[str, Any] = yaml.safe_load((PACKAGE / "web" / "openapi.yaml").read_text())
DESCRIBED = {(method.upper(), path) for path, item in DESCRIPTION["paths"].items() for method in item}

RECORDED = record(1)

# For people with a browser, for a client's warm-up, and for those who knock at the wrong door.
NOT_FOR_PROGRAMS = {("GET", "/"), ("GET", "/api/hello"), ("POST", "/v1/chat/completions")}


def doors_in_the_source() -> set[tuple[str, str]]:
    """The keys of the table of doors: pairs of a method and a path."""
    tree = ast.parse((PACKAGE / "web" / "app.py").read_text())
    pairs = {
        tuple(constant.value for constant in key.elts if isinstance(constant, ast.Constant))
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Tuple)
    }
    return {(str(pair[0]), str(pair[1])) for pair in pairs}


def test_the_description_is_valid() -> None:
    OpenAPIV31SpecValidator(DESCRIPTION).validate()


def test_the_description_is_of_this_version() -> None:
    assert DESCRIPTION["info"]["version"] == __version__


def test_every_door_is_described_and_every_description_is_of_a_door() -> None:
    forwarded = {("POST", MESSAGES), ("POST", COUNT_TOKENS)}
    found = doors_in_the_source()
    assert len(found) > 5
    assert found - NOT_FOR_PROGRAMS | forwarded == DESCRIBED


@pytest.mark.parametrize(("method", "path"), sorted(DESCRIBED))
async def test_what_is_described_is_there(method: str, path: str, tmp_path: Path) -> None:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with recorded_before(tmp_path, [Change(RECORDED)], config=config) as daemon:
            posted = method == "POST"
            headers = [*LOGIN.items(), ("X-Requested-With", "a test"), *([JSON] if posted else [])]
            target = examples(RECORDED.id, str(RECORDED.conversation))[method.lower(), path]
            answer = await knock(daemon, method, target, headers, BODY if posted else None)
    operation = DESCRIPTION["paths"][path][method.lower()]
    assert answer.status == 200
    media = (answer.header("content-type") or "").partition(";")[0]
    response = operation["responses"]["200"]
    if "$ref" in response:
        response = DESCRIPTION["components"]["responses"][response["$ref"].rpartition("/")[2]]
    assert media in response["content"]
