"""What the API's description promises of an answer's body."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker


@cache
def document() -> Any:
    return yaml.safe_load(files("claude_proxy.web").joinpath("openapi.yaml").read_bytes())


def examples(recorded: str, conversation: str) -> dict[tuple[str, str], str]:
    """A good target for each method and path that is described, `recorded` being the id of a request that is there."""
    ids = {
        "/api/requests/{id}": f"/api/requests/{recorded}",
        "/api/conversations/{id}": f"/api/conversations/{conversation}",
    }
    whole = {"/api/conversations/project": "/api/conversations/project?project=/home", **ids}
    return {
        (method, path): whole.get(path, path)
        for path, operations in document()["paths"].items()
        for method in operations
        if method in {"get", "head", "post", "put", "patch", "delete", "options", "trace"}
    }


def assert_as_described(body: object, path: str, status: int, method: str = "get") -> None:
    """It has the shape that stands there for this status, or for all others, and no field that does not stand there."""
    whole = document()
    responses = whole["paths"][path][method]["responses"]
    response = responses.get(str(status), responses["default"])
    if "$ref" in response:
        response = whole["components"]["responses"][response["$ref"].removeprefix("#/components/responses/")]
    _validate(body, response["content"]["application/json"]["schema"])


def assert_as_schema(body: object, name: str) -> None:
    """It has the shape of this name, and no field that does not stand there."""
    _validate(body, {"$ref": f"#/components/schemas/{name}"})


def _validate(body: object, schema: Any) -> None:
    whole = {**_closed(schema), "components": {"schemas": _closed_schemas()}}  # what it refers to
    OAS31Validator(whole, format_checker=oas31_format_checker).validate(body)


@cache
def _closed_schemas() -> Any:
    return _closed(document()["components"]["schemas"])


def _closed(schema: Any) -> Any:
    """The schema with what JSON Schema leaves open shut: other properties than those that it names."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed
