"""The API's description is valid and true: what it names is served, what is served it names, in this shape."""

import re
from collections.abc import AsyncIterator
from typing import Any

import openapi_spec_validator
import pytest
import pytest_asyncio
import yaml

from claude_proxy import __version__
from claude_proxy.config.load import default_text
from claude_proxy.ledger.store import Change
from claude_proxy.wire.messages import COUNT_TOKENS, MESSAGES
from tests.asking import ask
from tests.house.source import PACKAGE, REPOSITORY
from tests.in_process import LOGIN, InProcess, in_process
from tests.ledger.made_records import record
from tests.stand_in import StandIn, fails
from tests.web.described import assert_as_described, document, examples
from tests.web.knocking import BODY, JSON, knock
from tests.web.recorded_before import recorded_before

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Pages for people and warm-up calls, and a door that only says which one is the right one: no part of the API.
NO_PART_OF_IT = {("get", "/"), ("get", "/api/hello"), ("post", "/v1/chat/completions")}
RECORDED = record(1)
TARGETS = examples(RECORDED.id, str(RECORDED.conversation))
DESCRIBED = list(TARGETS)
OF_ITS_OWN = sorted(path for method, path in DESCRIBED if method == "get")
NO_OTHER_SITE = ("X-Requested-With", "a test")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    async with StandIn() as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}, "retry": {"max_retries": 0}}
        async with recorded_before(tmp_path_factory.mktemp("openapi"), [Change(RECORDED)], config=config) as daemon:
            yield daemon


async def test_it_is_a_valid_description() -> None:
    openapi_spec_validator.validate(document())


async def test_it_is_of_this_version_and_names_the_address_that_is_served() -> None:
    described, listen = document(), yaml.safe_load(default_text())["listen"]
    assert described["info"]["version"] == __version__
    assert described["servers"] == [{"url": f"http://{listen['host']}:{listen['port']}"}]


async def test_every_door_that_is_described_is_there(daemon: InProcess) -> None:
    deleting_comes_last = sorted(TARGETS.items(), key=lambda target: target[0][0] == "delete")
    for (method, path), target in deleting_comes_last:
        headers = [*LOGIN.items(), JSON] if method == "post" else [NO_OTHER_SITE]
        answer = await knock(daemon, method.upper(), target, headers, BODY if method == "post" else None)
        assert answer.status == 200, (method, path)


async def test_every_door_that_is_there_is_described() -> None:
    text = (PACKAGE / "web" / "app.py").read_text()
    doors = {(method.lower(), path) for method, path in re.findall(r'\("([A-Z]+)", "(/[^"]*)"\)', text)}
    assert len(doors) > 5
    assert doors - NO_PART_OF_IT | {("post", MESSAGES), ("post", COUNT_TOKENS)} == set(DESCRIBED)
    assert doors >= NO_PART_OF_IT


async def test_the_documentation_lists_the_same_doors() -> None:
    table = (REPOSITORY / "docs/http.md").read_text().partition("\n## ")[0]
    listed = {(method.lower(), path) for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`…]*)`", table)}
    assert listed == set(DESCRIBED)


@pytest.mark.parametrize("path", sorted(document()["paths"]))
async def test_no_method_is_served_that_is_not_described(daemon: InProcess, path: str) -> None:
    for other in {"get", "post", "put", "patch", "delete", "options"} - set(document()["paths"][path]):
        headers = [*LOGIN.items(), JSON, NO_OTHER_SITE]
        target = next(target for (_, its_path), target in TARGETS.items() if its_path == path)
        assert (await knock(daemon, other.upper(), target, headers)).status == 405


async def json_of(daemon: InProcess, path: str) -> Any:
    return (await ask(daemon.url + path, method="GET")).json()


@pytest.mark.parametrize("path", ["/health", "/livez", "/v1/models"])
async def test_an_answer_has_the_shape_that_is_described(daemon: InProcess, path: str) -> None:
    assert_as_described(await json_of(daemon, path), path, 200)


@pytest.mark.parametrize("path", OF_ITS_OWN)
async def test_an_answer_is_of_the_type_that_is_described(daemon: InProcess, path: str) -> None:
    (described,) = document()["paths"][path]["get"]["responses"].get("200", {}).get("content") or ["application/json"]
    answer = await knock(daemon, "GET", TARGETS["get", path])
    assert (answer.header("content-type") or "").partition(";")[0] == described


async def test_a_count_has_the_shape_that_is_described(daemon: InProcess) -> None:
    counted = await knock(daemon, "POST", COUNT_TOKENS, [*LOGIN.items(), JSON], BODY)
    assert_as_described(counted.json(), COUNT_TOKENS, 200, "post")


async def test_an_answer_to_a_message_has_the_headers_that_are_described(daemon: InProcess) -> None:
    answer = await knock(daemon, "POST", MESSAGES, [*LOGIN.items(), JSON], BODY)
    described = document()["paths"][MESSAGES]["post"]["responses"]["200"]["headers"]
    sent = {name.lower() for name, _ in answer.headers if name.lower().startswith("x-claude-proxy-")}
    assert sent == set(described)


@pytest.mark.parametrize(("method", "path"), DESCRIBED)
async def test_a_refusal_has_the_shape_that_is_described(daemon: InProcess, method: str, path: str) -> None:
    answer = await knock(daemon, method.upper(), TARGETS[method, path], host="evil.example")
    assert answer.status == 421
    assert_as_described(answer.json(), path, 421, method)


async def test_a_failure_has_the_shape_that_is_described(daemon: InProcess) -> None:
    answer = await knock(daemon, "POST", MESSAGES, [JSON, ("x-api-key", "proxy-managed")], BODY)
    assert answer.status == 403
    assert answer.header("x-claude-proxy-error") == "no_credential"
    assert_as_described(answer.json(), MESSAGES, 403, "post")


async def test_an_upstreams_own_error_has_the_shape_that_is_described(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with StandIn(fails(400, "invalid_request_error")) as upstream:
        config = {"upstreams": {"claude": {"base_url": upstream.url}}}
        async with in_process(tmp_path_factory.mktemp("error"), config) as daemon:
            answer = await knock(daemon, "POST", MESSAGES, [*LOGIN.items(), JSON], BODY)
    assert answer.status == 400
    assert_as_described(answer.json(), MESSAGES, 400, "post")
