"""The API's own description is given as YAML, as it stands in the file, and as the same in JSON."""

import json
from importlib.resources import files

import yaml
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from claude_proxy.web.openapi import openapi_json, openapi_yaml

REQUEST = make_mocked_request("GET", "/openapi.yaml")


def bytes_of(response: web.Response) -> bytes:
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return response.body


async def test_the_yaml_is_the_file() -> None:
    response = await openapi_yaml(REQUEST)
    assert bytes_of(response) == files("claude_proxy.web").joinpath("openapi.yaml").read_bytes()
    assert response.content_type == "application/yaml"


async def test_the_json_says_the_same() -> None:
    response = await openapi_json(REQUEST)
    assert json.loads(bytes_of(response)) == yaml.safe_load(bytes_of(await openapi_yaml(REQUEST)))
    assert response.content_type == "application/json"
