"""A client's request: its bytes stay its own, and the facts that it is routed by."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from claude_proxy.wire.members import BadBody, Members
from claude_proxy.wire.messages import MAX_MODEL, Background, ClientRequest

_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", '\\"', '{"model": "x"}', "\u2028", "\x00", ",", ":"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_spaces = st.text(st.sampled_from(" \t\r\n"), max_size=3)
_names = st.text(max_size=6) | st.sampled_from(["model", 'a"', "a\\", "{", "}", "a,b", "a:b", "\\u006d"])


@st.composite
def spelt(draw: st.DrawFn, value: Any) -> str:
    """A value as JSON, in one of the ways in which encoders write it."""
    compact = draw(st.booleans())
    return json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1, "\t"])),
        separators=(",", ":") if compact else None,
    )


@st.composite
def objects(draw: st.DrawFn) -> list[tuple[str, Any, list[str]]]:
    """Members of an object: name, value, and the pieces in which they stand: before, name, colon, value, after."""
    found = draw(st.lists(st.tuples(_names, _values), unique_by=lambda pair: pair[0], min_size=1, max_size=6))
    return [
        (
            name,
            value,
            [draw(_spaces), draw(spelt(name)), f"{draw(_spaces)}:{draw(_spaces)}", draw(spelt(value)), draw(_spaces)],
        )
        for name, value in found
    ]


def put_together(members: list[tuple[str, Any, list[str]]], around: tuple[str, str]) -> bytes:
    return (around[0] + "{" + ",".join("".join(pieces) for *_, pieces in members) + "}" + around[1]).encode()


def body(**members: Any) -> bytes:
    return json.dumps({"model": "claude-sonnet-4-5", **members}).encode()


def asked(raw: bytes | None = None, target: str = "/v1/messages?beta=true", **members: Any) -> ClientRequest:
    return ClientRequest.read("POST", target, (), body(**members) if raw is None else raw)


# --- the members of the top-level object -------------------------------------------------------------------


@given(objects(), st.tuples(_spaces, _spaces), st.data())
@settings(max_examples=200, deadline=None)
def test_replacing_a_value_changes_no_other_byte(
    members: list[tuple[str, Any, list[str]]], around: tuple[str, str], data: st.DataObject
) -> None:
    text = put_together(members, around)
    index = data.draw(st.integers(0, len(members) - 1))
    new = data.draw(_values)
    name, _, pieces = members[index]
    changed = [*members]
    changed[index] = (name, new, [*pieces[:3], json.dumps(new), pieces[4]])
    assert Members(text).replace(name, new) == put_together(changed, around)
    assert Members(text).replace_raw(name, b"[ 1 ]") == put_together(
        [*members[:index], (name, [1], [*pieces[:3], "[ 1 ]", pieces[4]]), *members[index + 1 :]], around
    )


@given(objects(), st.tuples(_spaces, _spaces), st.data())
@settings(max_examples=200, deadline=None)
def test_a_value_is_put_where_it_stands_or_before_the_others_and_what_is_known_stays_known(
    members: list[tuple[str, Any, list[str]]], around: tuple[str, str], data: st.DataObject
) -> None:
    text = put_together(members, around)
    name = data.draw(st.sampled_from([each[0] for each in members]) | _names)
    names = [each[0] for each in members]
    changed = Members(text).with_value(name, b"[ 1 ]")
    if name in names:
        assert changed.text == Members(text).replace_raw(name, b"[ 1 ]")
    else:
        assert changed.text == text.replace(b"{", b"{%s:[ 1 ]," % json.dumps(name).encode(), 1)
    again = Members(changed.text)
    for each in {*names, name}:
        assert changed.raw(each) == again.raw(each)
    assert changed.replace_raw(names[-1], b"2") == again.replace_raw(names[-1], b"2")


def test_an_empty_object_takes_a_value_too() -> None:
    assert Members(b" { } ").with_value("stream", b"true").text == b' {"stream":true } '


@given(objects(), st.tuples(_spaces, _spaces))
@settings(max_examples=200, deadline=None)
def test_every_member_is_found_as_it_was_written(
    members: list[tuple[str, Any, list[str]]], around: tuple[str, str]
) -> None:
    text = put_together(members, around)
    found = Members(text)
    assert found.text is text
    for name, value, pieces in members:
        assert found.raw(name) == pieces[3].encode()
        assert found.get(name) == value


def test_a_member_that_is_absent_is_none_and_cannot_be_replaced() -> None:
    members = Members(b'{"a": {"model": "x"}}')
    assert members.raw("model") is None
    assert members.get("model") is None
    with pytest.raises(KeyError):
        members.replace("model", "y")


def test_a_number_of_any_size_is_decoded_exactly() -> None:
    assert Members(b'{"n": 123456789012345678901234567890}').get("n") == 123456789012345678901234567890


@pytest.mark.parametrize("value", [b"1e999", b"9" * 5000, b"[" * 800 + b"]" * 800])
def test_a_value_that_python_cannot_hold_does_not_spoil_the_others(value: bytes) -> None:
    members = Members(b'{"odd": ' + value + b', "model": "m"}')
    assert members.raw("odd") == value
    assert members.get("model") == "m"
    members.get("odd")
    assert members.replace("model", "n") == b'{"odd": ' + value + b', "model": "n"}'


# --- bodies that are refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not a JSON object"),
        (b"  ", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"model"', "not a JSON object"),
        (b'{"model": "m"', "not a JSON object"),
        (b'{"model": "m"} {}', "not a JSON object"),
        (b'{"model": "m",}', "not a JSON object"),
        (b"{'model': 'm'}", "not a JSON object"),
        (b'{"model": "m", "n": NaN}', "not a JSON object"),
        (b'{"model": "m", "n": 01}', "not a JSON object"),
        (b'{"model": "m", "n": "\x01"}', "not a JSON object"),
        (b'\xef\xbb\xbf{"model": "m"}', "not a JSON object"),
        ('{"model": "m"}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"model": "m", "n": "\xff"}', "not valid UTF-8"),
        (b'{"model": "m", "n": "\xc0\xaf"}', "not valid UTF-8"),
        (b'{"model": "m", "n": "\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"model": "m", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"model": "m", "model": "m"}', "twice"),
        (b'{"model": "m", "\\u006dodel": "n"}', "twice"),
        (b'{"stream": true, "model": "m", "stream": false}', "twice"),
        (b"{}", "`model`"),
        (b'{"model": null}', "`model`"),
        (b'{"model": 7}', "`model`"),
        (b'{"model": 1e999}', "`model`"),
        (b'{"model": ["m"]}', "`model`"),
        (b'{"model": ""}', "`model`"),
        (b'{"model": "a\\nb"}', "`model`"),
        (b'{"model": "a\\u0000"}', "`model`"),
        (b'{"model": "' + b"m" * (MAX_MODEL + 1) + b'"}', "`model`"),
        (b'{"model": "m", "stream": "true"}', "`stream`"),
        (b'{"model": "m", "stream": 1}', "`stream`"),
        (b'{"model": "m", "stream": 1e999}', "`stream`"),
        (b'{"model": "m", "stream": []}', "`stream`"),
    ],
)
def test_a_body_that_is_no_messages_request_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(BadBody, match=words):
        asked(raw)


@pytest.mark.parametrize("content", ["FAKE-secret", "sk-ant-oat01-FAKE"])
def test_a_refusal_repeats_nothing_of_the_body(content: str) -> None:
    for raw in (b'{"model": "m", "%s": x}', b'{"model": "m", "n": "%s"', b'{"model": ["%s"]}', b'{"m": 1, "%s"}'):
        with pytest.raises(BadBody) as refused:
            asked(raw % content.encode())
        assert content not in str(refused.value)


@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from([b'{"model":"m"', b",", b'"a":', b"1e999", b"}", b'"\\ud800"'])).map(b"".join)
)
@settings(max_examples=200, deadline=None)
@example(b'{"model":"m","stream":1e999}')
@example(b'{"model":"m","metadata":{"user_id":1e999}}')
@example(b'{"model":"m","max_tokens":1,"messages":[{"content":"quota","n":1e999}]}')
@example(b'{"model":"m","max_tokens":1,"messages":[' + b"9" * 5000 + b"]}")
@example(b'{"model":"m","tools":[{"type":"web_search_1","n":1e999}]}')
def test_any_body_is_a_request_with_all_its_facts_or_is_refused(raw: bytes) -> None:
    try:
        request = asked(raw)
    except BadBody:
        return
    assert request.body is raw
    assert isinstance(request.model, str)
    assert isinstance(request.uses_thinking, bool)
    assert isinstance(request.server_tools, tuple)
    assert request.background is None or isinstance(request.background, Background)
    assert request.user_id is None or isinstance(request.user_id, str)


# --- what is read of a good one ----------------------------------------------------------------------------


@given(objects())
@settings(max_examples=100, deadline=None)
def test_the_bytes_of_a_body_stay_the_clients_own(members: list[tuple[str, Any, list[str]]]) -> None:
    others = [member for member in members if member[0] not in {"model", "stream"}]
    raw = put_together([*others, ("model", "m", ['"model"', ":", '"m"'])], (" ", "\n"))
    request = asked(raw)
    assert request.body is raw
    assert request.text is raw
    assert request.model == "m"
    assert request.local


def test_a_compressed_body_is_kept_beside_the_text_that_it_holds() -> None:
    text = b'{"model": "m", "stream": true}'
    request = ClientRequest.read("POST", "/v1/messages", (), b"packed", text, local=False)
    assert (request.body, request.text) == (b"packed", text)
    assert (request.model, request.stream) == ("m", True)
    assert not request.local


@pytest.mark.parametrize("model", ["m", "claude-opus-4-8[1m]", "openai/gpt-5.4", "ключ", "m" * MAX_MODEL])
def test_any_printable_name_is_a_model(model: str) -> None:
    assert asked(model=model).model == model


@pytest.mark.parametrize(
    ("members", "stream"),
    [({}, False), ({"stream": None}, False), ({"stream": False}, False), ({"stream": True}, True)],
)
def test_a_stream_is_asked_for_by_true_alone(members: dict[str, Any], stream: bool) -> None:
    assert asked(**members).stream is stream


def test_path_and_query_are_told_apart_at_the_first_question_mark() -> None:
    request = asked(target="/v1/messages?beta=true&q=a?b%2F")
    assert (request.path, request.query) == ("/v1/messages", "beta=true&q=a?b%2F")
    assert asked(target="/v1/messages").query == ""


@pytest.mark.parametrize(
    ("method", "target", "messages", "counts"),
    [
        ("POST", "/v1/messages?beta=true", True, False),
        ("POST", "/v1/messages/count_tokens?beta=true", False, True),
        ("GET", "/v1/messages", False, False),
        ("GET", "/v1/messages/count_tokens", False, False),
        ("POST", "/v1/messages/batches", False, False),
        ("POST", "/v1/messages/", False, False),
    ],
)
def test_asking_a_model_and_counting_are_told_by_method_and_path(
    method: str, target: str, messages: bool, counts: bool
) -> None:
    request = ClientRequest(method, target, ())
    assert (request.is_messages, request.counts_tokens) == (messages, counts)


def test_claude_codes_headers_name_session_and_agent() -> None:
    headers = (("X-Claude-Code-Session-Id", "s"), ("X-Claude-Code-Agent-Id", "a01"))
    request = ClientRequest.read("POST", "/v1/messages", headers, body())
    assert (request.session_id, request.agent_id, request.header("x-app")) == ("s", "a01", None)
    assert (asked().session_id, asked().agent_id) == (None, None)


@pytest.mark.parametrize(
    ("metadata", "user"),
    [({"user_id": "u"}, "u"), ({"user_id": 7}, None), ({}, None), ("u", None), (None, None)],
)
def test_the_user_is_named_in_metadata(metadata: Any, user: str | None) -> None:
    assert asked(metadata=metadata).user_id == user


@pytest.mark.parametrize(("method", "target"), [("GET", "/v1/models?limit=1000"), ("POST", "/v1/messages")])
def test_a_request_without_a_body_has_none_of_a_bodys_facts(method: str, target: str) -> None:
    request = ClientRequest(method, target, ())
    assert (request.user_id, request.uses_thinking, request.server_tools, request.background) == (None, False, (), None)
    assert (request.model, request.stream, request.local) == ("", False, True)


@pytest.mark.parametrize(
    ("members", "uses"),
    [
        ({}, False),
        ({"thinking": None}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, True),
    ],
)
def test_thinking_is_used_unless_it_is_disabled(members: dict[str, Any], uses: bool) -> None:
    assert asked(**members).uses_thinking is uses


def test_only_the_tools_that_anthropics_servers_run_are_server_tools() -> None:
    tools = [
        {"name": "Read", "input_schema": {"properties": {"type": "web_search_20250305"}}},
        {"type": "custom", "name": "web_search"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "e"},
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "c"},
        {"type": "tool_search_tool_regex_20251119", "name": "t"},
        {"type": "advisor_20260301", "name": "a"},
        {"type": 7},
        "no tool",
    ]
    names = ["web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "tool_search_tool_regex_20251119"]
    assert asked(tools=tools).server_tools == (*names, "advisor_20260301")
    assert asked(tools=[{"type": "mcp_toolset", "mcp_server_name": "m"}]).server_tools == ("mcp_toolset",)


@pytest.mark.parametrize(
    "tools", [None, [], "web_search", {"type": "web_search_20250305"}, [{"name": "Read"}], [{"type": "bash_20250124"}]]
)
def test_without_such_tools_there_are_none(tools: Any) -> None:
    assert asked(tools=tools).server_tools == ()


QUOTA: dict[str, Any] = {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}
TITLE: dict[str, Any] = {
    "tools": [],
    "output_config": {"format": {"type": "json_schema", "schema": {"properties": {"title": {"type": "string"}}}}},
}


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (QUOTA, Background.QUOTA_PROBE),
        (
            {**QUOTA, "messages": [{"role": "user", "content": [{"type": "text", "text": "quota"}]}]},
            Background.QUOTA_PROBE,
        ),
        ({**QUOTA, "stream": True}, None),
        ({**QUOTA, "max_tokens": 10}, None),
        ({**QUOTA, "messages": [*QUOTA["messages"], {"role": "assistant", "content": "quota"}]}, None),
        ({**QUOTA, "messages": [{"role": "user", "content": "my quota"}]}, None),
        ({**QUOTA, "messages": [{"role": "user", "content": [{"text": "quota"}, {"text": "quota"}]}]}, None),
        ({**QUOTA, "messages": ["quota"]}, None),
        ({**QUOTA, "messages": [{"content": [7]}]}, None),
        ({**QUOTA, "messages": {}}, None),
        (TITLE, Background.TITLE),
        ({"output_config": TITLE["output_config"]}, Background.TITLE),
        ({**TITLE, "tools": [{"name": "Read"}]}, None),
        ({"output_config": {"effort": "high"}}, None),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, Background.WEB_SEARCH),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, None),
        ({}, None),
    ],
)
def test_claude_codes_own_calls_are_recognised(members: dict[str, Any], kind: Background | None) -> None:
    assert asked(**members).background is kind


def test_a_background_call_is_named_in_one_word() -> None:
    assert [str(kind) for kind in Background] == ["title", "quota_probe", "web_search"]


def test_counting_tokens_is_no_background_call() -> None:
    assert asked(target="/v1/messages/count_tokens", **QUOTA).background is None


def test_a_request_shows_neither_login_nor_conversation_of_itself() -> None:
    headers = (("Authorization", "Bearer FAKE-login"),)
    request = ClientRequest.read("POST", "/v1/messages", headers, body(messages=[{"content": "FAKE-words"}]))
    assert "FAKE" not in repr(request)
