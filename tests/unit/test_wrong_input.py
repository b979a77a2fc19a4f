"""Every wrong input gets a status, a code and one sentence."""

import json
from base64 import b64encode
from unittest.mock import ANY

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from classifier.strict_json import MAX_BODY_BYTES
from regroup.domain.chat import Metered, Stop, TextDelta, Usage
from tests.local.fakes import PATIENT, Step
from tests.local.reading import (
    CANARY,
    HELLO,
    PATHS,
    body,
    error_of,
    events_of,
    message,
    read,
    read_json,
)
from tests.local.world import World, chat_body, small_world

TOOL = {"type": "function", "function": {"name": "look"}}


def image(url: str) -> bytes:
    return message(content=[{"type": "image_url", "image_url": {"url": url}}])


PICTURE = image(f"data:image/png;base64,{b64encode(b'\x89PNG\r\n\x1a\n').decode()}")
NESTED_KEY = json.dumps({"messages": HELLO, "regroup": {"k" * 1_000_000: 1}}).encode()

WRONG_INPUT = {
    "empty body": (b"", 400, "empty_body", None),
    "white space": (b" \r\n\t", 400, "empty_body", None),
    "not JSON": (CANARY.encode(), 400, "invalid_json", None),
    "cut off": (body()[:-2], 400, "invalid_json", None),
    "something after": (body() + b" {}", 400, "invalid_json", None),
    "a control character": (b'{"messages": "%s\n"}' % CANARY.encode(), 400, "invalid_json", None),
    "NaN": (body().replace(b"}]", b'}], "temperature": NaN', 1), 400, "invalid_json", None),
    "Infinity": (b'{"x": -Infinity}', 400, "invalid_json", None),
    "a key twice": (b'{"model": "x", "model": "%s"}' % CANARY.encode(), 400, "invalid_json", None),
    "a key twice below": (b'{"a": [{"b": 1, "b": 2}]}', 400, "invalid_json", None),
    "a list 100,000 deep": (b"[" * 100_000, 400, "invalid_json", None),
    "an object 100,000 deep": (b'{"a":' * 100_000, 400, "invalid_json", None),
    "a closed list 100,000 deep": (
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        400,
        "invalid_json",
        None,
    ),
    "not UTF-8": (b'{"messages": "\xff%s"}' % CANARY.encode(), 400, "invalid_json", None),
    "UTF-16": (body().decode().encode("utf-16"), 400, "invalid_json", None),
    "a byte order mark": (b"\xef\xbb\xbf" + body(), 400, "invalid_json", None),
    "a surrogate in UTF-8": (b'{"x": "\xed\xa0\xbd"}', 400, "invalid_json", None),
    "a number of 5,000 digits": (b'{"x": %s}' % (b"1" * 5_000), 400, "invalid_json", None),
    "a list": (b'["%s"]' % CANARY.encode(), 400, "invalid_json", None),
    "a string": (b'"%s"' % CANARY.encode(), 400, "invalid_json", None),
    "null": (b"null", 400, "invalid_json", None),
    "no messages": (b'{"prompt": "%s"}' % CANARY.encode(), 400, "invalid_field", "messages"),
    "messages that are none": (b'{"messages": "hi"}', 400, "invalid_field", "messages"),
    "empty messages": (b'{"messages": []}', 400, "invalid_field", "messages"),
    "a message that is none": (b'{"messages": [1]}', 400, "invalid_field", "messages[0]"),
    "no role": (b'{"messages": [{}]}', 400, "invalid_field", "messages[0]"),
    "an unknown role": (message(role=CANARY), 400, "invalid_field", "messages[0]"),
    "content that is a number": (
        message(content=7),
        400,
        "invalid_field",
        "messages[0].content",
    ),
    "a part without a type": (
        message(content=[{"text": CANARY}]),
        400,
        "invalid_field",
        "messages[0].content[0].type",
    ),
    "no user text": (message(role="assistant"), 400, "empty_prompt", "messages"),
    "an empty prompt": (message(content=""), 400, "empty_prompt", "messages"),
    "a blank prompt": (message(content=" \n\u3000"), 400, "empty_prompt", "messages"),
    "no content": (message(content=None), 400, "empty_prompt", "messages"),
    "no parts": (message(content=[]), 400, "empty_prompt", "messages"),
    "unknown model": (body(model="gpt-4"), 404, "model_not_found", "model"),
    "unknown preset": (body(model="regroup-luxury"), 404, "model_not_found", "model"),
    "a preset alone": (body(model="quality"), 404, "model_not_found", "model"),
    "half a preset": (body(model="regroup-"), 404, "model_not_found", "model"),
    "an empty model": (body(model=""), 404, "model_not_found", "model"),
    "the prompt as model": (body(model=CANARY), 404, "model_not_found", "model"),
    "model is a number": (body(model=4), 400, "invalid_field", "model"),
    "model is null": (body(model=None), 400, "invalid_field", "model"),
    "temperature too high": (body(temperature=2.1), 400, "invalid_field", "temperature"),
    "temperature below zero": (body(temperature=-0.1), 400, "invalid_field", "temperature"),
    "temperature is text": (body(temperature=CANARY), 400, "invalid_field", "temperature"),
    "temperature overflows": (
        body().replace(b"}]", b'}], "temperature": 1e999', 1),
        400,
        "invalid_field",
        "temperature",
    ),
    "temperature of 400 digits": (body(temperature=10**400), 400, "invalid_field", "temperature"),
    "top_p too high": (body(top_p=1.5), 400, "invalid_field", "top_p"),
    "no tokens": (body(max_tokens=0), 400, "invalid_field", "max_tokens"),
    "half a token": (body(max_tokens=1.5), 400, "invalid_field", "max_tokens"),
    "stream is text": (body(stream=CANARY), 400, "invalid_field", "stream"),
    "stop is a number": (body(stop=3), 400, "invalid_field", "stop"),
    "unknown field of ours": (
        body(regroup={"cost_wieght": 1}),
        400,
        "invalid_field",
        "regroup.cost_wieght",
    ),
    "unknown field of a megabyte": (
        NESTED_KEY,
        400,
        "invalid_field",
        ("regroup." + "k" * 100)[:100],
    ),
    "a negative cost weight": (
        body(regroup={"cost_weight": -1}),
        400,
        "invalid_field",
        "regroup.cost_weight",
    ),
    "a cost weight that overflows": (
        body().replace(b"}]", b'}], "regroup": {"cost_weight": 1e999}', 1),
        400,
        "invalid_field",
        "regroup.cost_weight",
    ),
    "our options are text": (body(regroup=CANARY), 400, "invalid_field", "regroup"),
    "half a surrogate pair": (message(content="\ud83d" + CANARY), 422, "invalid_unicode", None),
    "the other half": (message(content=CANARY + "\ude00"), 422, "invalid_unicode", None),
    "half a pair in a key": (b'{"\\ud83d": 1}', 422, "invalid_unicode", None),
    "half a tool": (body(tools=[{"type": "function"}]), 400, "invalid_field", "tools[0].function"),
    "a tool of another kind": (
        body(tools=[{"type": "web"}]),
        422,
        "unsupported_feature",
        "tools[0].type",
    ),
    "a tool twice": (body(tools=[TOOL, TOOL]), 400, "invalid_tools", "tools[1].function.name"),
    "a tool that is not there": (
        body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}),
        400,
        "invalid_tools",
        "tool_choice",
    ),
    "functions": (body(functions=[{"name": CANARY}]), 422, "unsupported_feature", "functions"),
    "logprobs": (body(logprobs=True), 422, "unsupported_feature", "logprobs"),
    "audio": (body(modalities=["audio"]), 422, "unsupported_feature", "modalities"),
    "an image that is none": (image(CANARY), 400, "invalid_image", "messages[0].content"),
    "an image elsewhere": (
        image(f"https://example.com/{CANARY}.png"),
        422,
        "remote_image",
        "messages[0].content",
    ),
    "an image in bad base64": (
        image("data:image/png;base64,?!"),
        400,
        "invalid_image",
        "messages[0].content",
    ),
    "an image that nobody can see": (PICTURE, 422, "no_candidate", None),
    "a tool's answer to nothing": (
        message(role="tool", tool_call_id="1"),
        400,
        "invalid_tool_call",
        "messages[0].tool_call_id",
    ),
    "half a schema": (
        body(response_format={"type": "json_schema", "json_schema": {"name": CANARY}}),
        400,
        "invalid_field",
        "response_format.json_schema.schema",
    ),
    "a schema that nobody can keep": (
        body(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
        422,
        "no_candidate",
        None,
    ),
    "tools that nobody can call": (body(tools=[TOOL]), 422, "no_candidate", None),
    "an unknown candidate": (
        body(regroup={"candidates": [CANARY]}),
        404,
        "model_not_found",
        "regroup.candidates",
    ),
    "no candidates": (body(regroup={"candidates": []}), 400, "invalid_field", "regroup.candidates"),
    "a place that is none": (
        body(regroup={"residency": CANARY}),
        400,
        "invalid_field",
        "regroup.residency",
    ),
    "a place where nobody lives": (body(regroup={"residency": "us"}), 422, "no_candidate", None),
    "a cap of nothing": (
        body(regroup={"max_cost_usd": 0}),
        400,
        "invalid_field",
        "regroup.max_cost_usd",
    ),
    "a cap that nobody keeps": (body(regroup={"max_cost_usd": 1e-9}), 422, "no_candidate", None),
    "a session without a name": (
        body(regroup={"session_id": ""}),
        400,
        "invalid_field",
        "regroup.session_id",
    ),
    "two choices": (body(n=2), 422, "unsupported_feature", "n"),
    "no choices": (body(n=0), 422, "unsupported_feature", "n"),
    "too long for every candidate": (
        message(content=CANARY + "x" * 500_000),
        422,
        "no_candidate",
        None,
    ),
    "too large": (b" " * (MAX_BODY_BYTES + 1), 413, "request_too_large", None),
    # Broken as well, which nobody finds out: nothing was parsed.
    "too large and broken": (b"[" * (MAX_BODY_BYTES + 1), 413, "request_too_large", None),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content", "status", "code", "param"), WRONG_INPUT.values(), ids=WRONG_INPUT
)
def test_wrong_input_gets_a_status_a_code_and_one_sentence(
    content: bytes, status: int, code: str, param: str | None, path: str
) -> None:
    world = small_world(sample_rate=1.0)

    response = world.handle(content, path=path)

    error = error_of(response)
    assert (response.status, error["code"], error["param"]) == (status, code, param)
    assert world.chat_model.calls == []
    assert world.queue.messages == []
    # Nothing is decided; only what was understood leaves a line, and of it only the code.
    for line in world.telemetry.lines:
        assert line == {"event": "refused", "at": ANY, "key_id": None, "status": 422, "code": code}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The body is empty; send a JSON object."),
        (b'{"a" 1}', "The body is not JSON: Expecting ':' delimiter, line 1 column 6."),
        (b'{"a": NaN}', "The body is not JSON: NaN is not JSON."),
        (b'{"a": 1, "a": 2}', "The body is not JSON: a key stands twice in one object."),
        (b'{"a": "\xff"}', "The body is not UTF-8."),
        (b"[" * 100_000, "The body is nested too deeply."),
        (b'{"a": %s}' % (b"1" * 5_000), "The body holds a number with too many digits."),
        (
            body(regroup={"x": 1}),
            "`regroup.x`: there is no such option; there are cost_weight, candidates, "
            "max_cost_usd, residency, session_id, explain, explore.",
        ),
        (body(regroup=7), "`regroup`: must be an object."),
        (body(response_format="json"), "`response_format`: must be an object."),
        (b'{"messages": []}', "`messages`: must have at least 1."),
        (body(stop=["x"] * 10), "`stop`: may have at most 4."),
        (b"{}", "`messages`: must be given."),
        (body(n=0), "Not served here: `n` other than 1."),
        (
            message(content=[{"type": "image_url", "image_url": "https://example.com"}]),
            "`messages[0].content[0].image_url`: must be an object.",
        ),
        (
            body(regroup={"max_cost_usd": 1e-9}),
            "No candidate can serve this request (small: max_cost_usd, medium: max_cost_usd, "
            "large: max_cost_usd). What would help: raise `regroup.max_cost_usd` or lower "
            "`max_tokens`.",
        ),
        (
            body(model="small", tools=[TOOL]),
            "small cannot serve this request (tools). What would help: leave out `tools`. "
            "The model name `regroup` finds a candidate that can, if there is one.",
        ),
    ],
    ids=range(17),
)
def test_the_sentence_says_what_to_mend(content: bytes, sentence: str) -> None:
    assert error_of(small_world().handle(content))["message"] == sentence


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    content = body() + b" " * (MAX_BODY_BYTES - len(body()))
    assert small_world().handle(content).status == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "sentence"),
    [
        ("POST", "/", "unknown_path", "there is POST /v1/chat/completions, POST /v1/route, "),
        ("POST", "/v1/completions", "unknown_path", "There is nothing at this path"),
        ("GET", f"/{CANARY}", "unknown_path", "There is nothing at this path"),
        ("GET", "/v1/chat/completions", "unknown_method", "/v1/chat/completions takes POST only."),
        ("DELETE", "/v1/route", "unknown_method", "/v1/route takes POST only."),
        ("POST", "/healthz", "unknown_method", "/healthz takes GET only."),
        ("", "", "unknown_path", "There is nothing at this path"),
    ],
)
def test_an_unknown_path_or_method_is_told_what_there_is(
    method: str, path: str, code: str, sentence: str
) -> None:
    response = small_world().handle(body(), method=method, path=path)
    error = error_of(response)
    assert (response.status, error["code"]) == (404, code)
    assert sentence in error["message"]


# Anything at all

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**301),
    st.floats(),
    st.text(st.characters(), max_size=8),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
parts = st.fixed_dictionaries(
    {"type": st.just("text") | anything}, optional={"text": st.text(max_size=5) | anything}
)
contents = st.text(max_size=8) | st.lists(parts, max_size=2) | anything
messages = st.lists(
    st.fixed_dictionaries({"role": roles | anything}, optional={"content": contents}) | anything,
    max_size=3,
)
likely_bodies = st.fixed_dictionaries(
    {"messages": messages | anything},
    optional={
        "model": st.sampled_from(["regroup", "regroup-economy", "small"]) | anything,
        "max_tokens": st.integers() | anything,
        "max_completion_tokens": st.integers() | anything,
        "temperature": st.floats(0, 2) | anything,
        "top_p": st.floats(0, 1) | anything,
        "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=2) | anything,
        "n": st.sampled_from([None, 1, 2]) | anything,
        "stream": st.booleans() | anything,
        "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}) | anything,
        "response_format": st.just({"type": "text"}) | anything,
        "tools": st.just([]) | anything,
        "regroup": st.fixed_dictionaries(
            {}, optional={"cost_weight": st.floats() | anything, "explore": anything}
        )
        | anything,
    },
)


def check_no_server_error(content: bytes, path: str) -> None:
    world = small_world(sample_rate=1.0)
    response = world.handle(content, path=path)
    if response.status != 200:
        assert 400 <= response.status < 500
        error_of(response)
    elif response.headers["content-type"] == "application/json":
        read_json(response)
    else:
        assert events_of(read(response))[-1] == "[DONE]"
    assert len(world.telemetry.lines) == (response.status == 200)


@PATIENT
@given(likely_bodies | anything, st.sampled_from(PATHS))
@example({"messages": [{"role": "user", "content": "x"}], "max_tokens": 10**300}, PATHS[0])
def test_no_json_body_is_a_server_error(content: object, path: str) -> None:
    check_no_server_error(json.dumps(content).encode(), path)
    check_no_server_error(json.dumps(content, ensure_ascii=False).encode(errors="replace"), path)


@PATIENT
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(PATHS))
def test_no_bytes_are_a_server_error(content: bytes, path: str) -> None:
    check_no_server_error(content, path)


@PATIENT
@given(
    st.sampled_from([b"[", b'{"a":', b'[{"a":']),
    st.integers(1, 3_000),
    st.sampled_from([b"1", rb'"\ud83d\ude00"', rb'"\ud83d"', b""]),
)
def test_no_depth_of_nesting_is_a_server_error(opening: bytes, depth: int, core: bytes) -> None:
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), delete=b'"a:')[::-1]
    nested = opening * depth + core + closing * depth
    check_no_server_error(b'{"messages":%s}' % nested, PATHS[0])
    check_no_server_error(
        b'{"x":%s,"messages":[{"role":"user","content":"hi"}]}' % nested, PATHS[1]
    )


@PATIENT
@given(st.lists(st.builds(TextDelta, st.text(st.characters(), max_size=6)), min_size=1))
def test_any_text_a_candidate_sends_comes_out_as_valid_json(deltas: list[TextDelta]) -> None:
    steps: list[Step] = [*deltas, Stop("length"), Metered(Usage())]
    worlds: list[World] = [small_world(sample_rate=1.0) for _ in range(2)]
    for world in worlds:
        world.chat_model.plan("medium", steps)
    whole, stream = worlds
    text = read_json(whole.handle(chat_body()))["choices"][0]["message"]["content"]
    chunks = events_of(read(stream.handle(chat_body(stream=True))))[:-1]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == text
    assert stream.queue.messages[0]["answer"] == text
