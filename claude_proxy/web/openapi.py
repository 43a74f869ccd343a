"""The API's own description, from the file `openapi.yaml` beside this one."""

import asyncio
import json
from functools import cache

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from claude_proxy.directories import PACKAGE
from claude_proxy.web.errors import SERVER


@cache
def _documents() -> tuple[bytes, bytes]:
    """The description as YAML and as JSON; read when first asked for."""
    import yaml  # a tenth of the start, and most daemons are never asked

    text = (PACKAGE / "web/openapi.yaml").read_bytes()
    return text, json.dumps(yaml.safe_load(text), indent=1).encode()


async def openapi_yaml(_: BaseRequest) -> Response:
    """`GET /openapi.yaml`."""
    text, _json = await asyncio.to_thread(_documents)
    return Response(body=text, headers={"Content-Type": "application/yaml", "Server": SERVER})


async def openapi_json(_: BaseRequest) -> Response:
    """`GET /openapi.json`."""
    _text, document = await asyncio.to_thread(_documents)
    return Response(body=document, headers={"Content-Type": "application/json", "Server": SERVER})
