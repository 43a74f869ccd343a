"""Anthropic's error envelope: the type of each status, how it is written, what can be read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_proxy.wire.errors import STATUS_OF_TYPE, TYPE_OF_STATUS, error_json, error_type, read_error

# https://platform.claude.com/docs/en/api/errors
DOCUMENTED = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def test_types_and_statuses_are_the_documented_ones_in_both_directions() -> None:
    assert dict(TYPE_OF_STATUS) == DOCUMENTED
    assert {status: kind for kind, status in STATUS_OF_TYPE.items()} == DOCUMENTED


@pytest.mark.parametrize(("status", "kind"), DOCUMENTED.items())
def test_a_listed_status_has_its_own_type(status: int, kind: str) -> None:
    assert error_type(status) == kind


@pytest.mark.parametrize("status", [405, 408, 415, 422, 499])
def test_another_4xx_is_an_invalid_request(status: int) -> None:
    assert error_type(status) == "invalid_request_error"


@pytest.mark.parametrize("status", [501, 502, 503, 599])
def test_another_5xx_is_the_apis_fault(status: int) -> None:
    assert error_type(status) == "api_error"


def test_an_error_is_written_in_anthropics_shape() -> None:
    assert json.loads(error_json("api_error", "no", "req_1")) == {
        "type": "error",
        "error": {"type": "api_error", "message": "no"},
        "request_id": "req_1",
    }


def test_without_an_id_none_is_made_up() -> None:
    assert "request_id" not in json.loads(error_json("api_error", "no"))


def test_letters_of_all_languages_are_written_as_they_are() -> None:
    assert "Schlüssel 钥匙".encode() in error_json("api_error", "Schlüssel 钥匙")


@given(st.text(), st.text(), st.text())
@settings(max_examples=100, deadline=None)
def test_what_is_written_can_be_read(kind: str, message: str, request_id: str) -> None:
    assert read_error(error_json(kind, message, request_id)) == (kind, message)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"error": {"type": "t", "message": "m", "code": 7, "param": null}}', ("t", "m")),
        (b'{"error": {"message": "m"}}', ("", "m")),
        (b'{"error": {"type": null, "message": null}}', ("", "")),
        (b'{"error": {}}', ("", "")),
        (b'{"error": "model not found"}', ("", "model not found")),
        (b'{"type": "error", "message": "m"}', ("", "m")),
        (b'{"type": "error"}', ("", "")),
        (b'{"type": "error", "error": null}', ("", "")),
    ],
)
def test_other_shapes_of_an_error_are_understood(body: bytes, found: tuple[str, str]) -> None:
    assert read_error(body) == found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"null",
        b"[]",
        b'"error"',
        b'{"type": "error"',
        b'{"type": "message", "content": []}',
        b'{"type": "message_start", "message": {"error": "not here"}}',
        b'{"type": "message", "error": null}',
        b'{"input_tokens": 42}',
        b'{"message": "m"}',
        b'{"error": [1]}',
        b'{"error": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_error_is_none(body: bytes) -> None:
    assert read_error(body) is None


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_the_reader_fail(body: bytes) -> None:
    assert read_error(body) is None or body.lstrip().startswith(b"{")
