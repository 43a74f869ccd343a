"""What the API's description promises of an answer's body."""

from importlib.resources import files
from typing import Any

import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker


def document() -> Any:
    return yaml.safe_load(files("claude_proxy.web").joinpath("openapi.yaml").read_bytes())


def assert_as_described(body: object, path: str, status: int, method: str = "get") -> None:
    """It has the shape that stands there for this status, or for all others, and no field that does not stand there."""
    whole = document()
    responses = whole["paths"][path][method]["responses"]
    response = responses.get(str(status), responses["default"])
    if "$ref" in response:
        response = whole["components"]["responses"][response["$ref"].removeprefix("#/components/responses/")]
    schema = _closed(response["content"]["application/json"]["schema"])
    OAS31Validator(schema, format_checker=oas31_format_checker).validate(body)


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
