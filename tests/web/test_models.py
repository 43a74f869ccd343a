"""`GET /v1/models` lists the models of the configuration in Anthropic's shape."""

import json
from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from claude_proxy.web.models import ModelsDoor


async def listed(models: dict[str, str]) -> Any:
    response = await ModelsDoor(models).answer(make_mocked_request("GET", "/v1/models"))
    assert isinstance(response, web.Response)
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


async def test_every_model_is_listed_on_one_page_in_the_order_of_the_configuration() -> None:
    page = await listed({"claude-b": "Claude B", "claude-a": "Claude A"})
    assert [(model["id"], model["display_name"]) for model in page["data"]] == [
        ("claude-b", "Claude B"),
        ("claude-a", "Claude A"),
    ]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "claude-b", "claude-a")


async def test_a_model_has_the_fields_that_anthropics_list_has() -> None:
    (model,) = (await listed({"claude-a": "Claude A"}))["data"]
    assert model == {
        "type": "model",
        "id": "claude-a",
        "display_name": "Claude A",
        "created_at": "1970-01-01T00:00:00Z",
    }


async def test_no_models_are_an_empty_page() -> None:
    assert await listed({}) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
