"""The API as callers see it: every wrong input, every shape of an answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from classifier.http import MAX_BODY_BYTES, Request, Response
from regroup.domain.chat import Metered, Stop, TextDelta, Usage
from regroup.errors import (
    UpstreamDeniedError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import ANSWER, DIGEST, PATIENT, REWARDS, Step, World, chat_body, small_world

CANARY = "canary-7f3a"
HELLO = [{"role": "user", "content": CANARY}]

PATHS = ["/v1/chat/completions", "/v1/route"]


def read(response: Response) -> bytes:
    return b"".join(response.body)


def read_json(response: Response) -> Any:  # noqa: ANN401 - JSON is anything
    assert response.headers["content-type"] == "application/json"
    return json.loads(read(response), parse_constant=_no_constant)


def _no_constant(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


def error_of(response: Response) -> dict[str, Any]:
    """Look at the shape OpenAI's clients expect, and that the sentence is for people."""
    body = read_json(response)
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["type"] == ("server_error" if response.status >= 500 else "invalid_request_error")
    assert error["message"].endswith(".")
    assert "\n" not in error["message"]
    assert len(error["message"]) < 1_000
    assert CANARY not in json.dumps(body)
    return error


def events_of(body: bytes) -> list[Any]:
    """Parse server-sent events strictly: `data: ` lines, each ended by an empty one."""
    text = body.decode()
    assert text.endswith("\n\n")
    events = text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    payloads = [event.removeprefix("data: ") for event in events]
    return [one if one == "[DONE]" else json.loads(one) for one in payloads]


def message(**fields: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": CANARY, **fields}]}).encode()


def body(**fields: object) -> bytes:
    return json.dumps({"messages": HELLO, **fields}).encode()


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
    "a message that is none": (b'{"messages": [1]}', 400, "invalid_field", "messages.0"),
    "no role": (b'{"messages": [{}]}', 400, "invalid_field", "messages.0.role"),
    "an unknown role": (message(role=CANARY), 400, "invalid_field", "messages.0.role"),
    "content that is a number": (
        message(content=7),
        400,
        "invalid_field",
        "messages.0.content.str",
    ),
    "a part without a type": (
        message(content=[{"text": CANARY}]),
        400,
        "invalid_field",
        "messages.0.content.str",
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
    "stop is a number": (body(stop=3), 400, "invalid_field", "stop.str"),
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
    "our options are null": (body(regroup=None), 400, "invalid_field", "regroup"),
    "half a surrogate pair": (message(content="\ud83d" + CANARY), 422, "invalid_unicode", None),
    "the other half": (message(content=CANARY + "\ude00"), 422, "invalid_unicode", None),
    "half a pair in a key": (b'{"\\ud83d": 1}', 422, "invalid_unicode", None),
    "tools": (body(tools=[{"type": "function"}]), 422, "unsupported_feature", "tools"),
    "functions": (body(functions=[{"name": CANARY}]), 422, "unsupported_feature", "functions"),
    "logprobs": (body(logprobs=True), 422, "unsupported_feature", "logprobs"),
    "audio": (body(modalities=["audio"]), 422, "unsupported_feature", "modalities"),
    "an image": (
        message(content=[{"type": "image_url", "image_url": {"url": CANARY}}]),
        422,
        "unsupported_feature",
        "messages[0].content",
    ),
    "a tool's answer": (message(role="tool"), 422, "unsupported_feature", "messages[0].role"),
    "a schema": (
        body(response_format={"type": "json_schema", "json_schema": {"name": CANARY}}),
        422,
        "unsupported_feature",
        "response_format",
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
    assert world.telemetry.lines == world.queue.messages == []


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
        (body(regroup={"x": 1}), "`regroup.x`: Extra inputs are not permitted."),
    ],
    ids=range(8),
)
def test_the_sentence_says_what_to_mend(content: bytes, sentence: str) -> None:
    assert error_of(small_world().handle(content))["message"] == sentence


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    content = body() + b" " * (MAX_BODY_BYTES - len(body()))
    assert small_world().handle(content).status == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "sentence"),
    [
        ("POST", "/", "unknown_path", "POST /v1/chat/completions, POST /v1/route, GET /healthz"),
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


@pytest.mark.parametrize(
    ("failure", "status", "code", "headers"),
    [
        (UpstreamThrottledError(CANARY), 503, "no_answer", {"retry-after": "30"}),
        (UpstreamDeniedError(CANARY), 503, "no_answer", {"retry-after": "30"}),
        (UpstreamRejectedError(CANARY), 400, "rejected", {}),
    ],
)
def test_an_answer_that_never_came_is_told_without_the_reason_of_others(
    failure: UpstreamError, status: int, code: str, headers: dict[str, str]
) -> None:
    for stream in (False, True):
        world = small_world()
        for name in REWARDS:
            world.chat_model.plan(name, [failure])
        response = world.handle(body(stream=stream))
        assert response.status == status
        assert response.headers == {"content-type": "application/json", **headers}
        assert error_of(response)["code"] == code


def test_a_whole_answer_that_takes_too_long_is_a_timeout() -> None:
    world = small_world()
    world.chat_model.plan("medium", [*ANSWER[:1], UpstreamTimeoutError(CANARY)])
    response = world.handle(body())
    assert (response.status, error_of(response)["code"]) == (504, "timeout")
    world.api.handle(Request("POST", PATHS[0], body(), world.deadline(0.5)))
    assert [line["status"] for line in world.telemetry.lines] == [504, 504]


def test_a_whole_answer_that_breaks_off_is_no_answer() -> None:
    world = small_world()
    world.chat_model.plan("medium", [*ANSWER[:1], UpstreamUnavailableError(CANARY)])
    response = world.handle(body())
    assert (response.status, error_of(response)["code"]) == (503, "answer_broken")
    assert world.line["status"] == 503


def test_a_whole_answer_is_a_chat_completion() -> None:
    world = small_world()

    response = world.handle(chat_body(), key_id="key-9")

    assert response.status == 200
    assert response.headers == {
        "content-type": "application/json",
        "x-regroup-model": "medium",
        "x-regroup-decision-id": "id-0",
        "x-regroup-cache": "miss",
    }
    assert read_json(response) == {
        "id": "chatcmpl-id-0",
        "object": "chat.completion",
        "created": int(world.clock.wall),
        "model": "medium",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Good day.", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        # The cached tokens are part of OpenAI's prompt tokens, and apart in Bedrock's.
        "usage": {
            "prompt_tokens": 10 + 3 + 4,
            "completion_tokens": 20,
            "total_tokens": 37,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }
    assert world.line["key_id"] == "key-9"
    assert read_json(world.handle(chat_body()))["id"] == "chatcmpl-id-1"


def test_the_headers_name_who_answered_and_not_who_was_chosen() -> None:
    world = small_world()
    world.chat_model.plan("medium", [UpstreamThrottledError("full")])
    response = world.handle(chat_body())
    assert response.headers["x-regroup-model"] == "small"
    assert read_json(response)["model"] == "small"


@pytest.mark.parametrize(
    ("model", "candidate", "preset"),
    [
        (None, "medium", "balanced"),
        ("regroup", "medium", "balanced"),
        ("regroup-quality", "large", "quality"),
        ("regroup-balanced", "medium", "balanced"),
        ("regroup-economy", "small", "economy"),
        ("small", "small", "none"),
        ("large", "large", "none"),
    ],
)
def test_a_model_name_is_a_preset_or_a_candidate(
    model: str | None, candidate: str, preset: str
) -> None:
    world = small_world()
    fields = {} if model is None else {"model": model}
    assert read_json(world.handle(chat_body(**fields)))["model"] == candidate
    assert world.line["preset"] == preset


def test_options_of_ours_reach_the_decision() -> None:
    world = small_world(explore_share=1.0)
    options = {"cost_weight": 10_000, "explore": False}
    explained = read_json(world.handle(chat_body(regroup=options), path="/v1/route"))
    assert (explained["routed_model"], explained["explore_allowed"]) == ("small", False)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1, "user": "u", "store": True, "a_field_of_next_year": {"x": [1]}},
        {"tools": [], "n": 1, "logprobs": False, "response_format": {"type": "text"}},
        {"tools": None, "n": None, "stream": None, "stop": None, "max_tokens": None},
        {"max_tokens": 10**300, "temperature": 2, "top_p": 0},
        {"regroup": {"cost_weight": 1e308}},
    ],
)
def test_fields_that_ask_for_nothing_unserved_are_accepted(fields: dict[str, object]) -> None:
    assert small_world().handle(chat_body(**fields)).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/route//", "/healthz/"])
def test_a_slash_at_the_end_of_a_path_changes_nothing(path: str) -> None:
    method = "GET" if "healthz" in path else "POST"
    assert small_world().handle(chat_body(), method=method, path=path).status == 200


@pytest.mark.parametrize(
    "text",
    ["\0", "\u202eright to left", "e" + "\u0301" * 10_000, "😀" * 100, "カタカナ１２３", "\ufeff"],
    ids=["NUL", "bidi", "combining flood", "emoji", "full width", "BOM"],
)
def test_odd_but_valid_text_is_answered(text: str) -> None:
    world = small_world(sample_rate=1.0)
    assert world.handle(chat_body(text)).status == 200
    assert world.chat_model.calls[0].request.turns[0].text == text


def test_two_escaped_halves_are_a_character() -> None:
    world = small_world()
    assert world.handle(rb'{"messages":[{"role":"user","content":"\ud83d\ude00"}]}').status == 200
    assert world.encoder.texts == ["😀"]


# Streams


def test_a_stream_is_chunks_in_order_and_done() -> None:
    world = small_world()

    response = world.handle(chat_body(stream=True))

    assert response.status == 200
    assert response.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-regroup-model": "medium",
        "x-regroup-decision-id": "id-0",
        "x-regroup-cache": "miss",
    }
    *chunks, done = events_of(read(response))
    assert done == "[DONE]"
    for chunk in chunks:
        assert {name: chunk[name] for name in ("id", "object", "created", "model")} == {
            "id": "chatcmpl-id-0",
            "object": "chat.completion.chunk",
            "created": int(world.clock.wall),
            "model": "medium",
        }
        assert len(chunk["choices"]) == 1
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Good "},
        {"content": "day."},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]
    assert world.line["status"] == 200


@pytest.mark.parametrize(
    ("options", "usages"),
    [(None, 0), ({}, 0), ({"include_usage": False}, 0), ({"include_usage": True}, 1)],
)
def test_usage_comes_last_and_only_where_asked_for(
    options: dict[str, object] | None, usages: int
) -> None:
    response = small_world().handle(chat_body(stream=True, stream_options=options))
    *chunks, _done = events_of(read(response))
    assert sum("usage" in chunk for chunk in chunks) == usages
    if usages:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] == 37


def test_text_with_line_breaks_and_in_japanese_stays_one_event_each() -> None:
    world = small_world()
    pieces = ["一\n\n二", "\r\ndata: [DONE]\r\n\r\n", "\u2028\u0085😀"]
    world.chat_model.plan("medium", [*map(TextDelta, pieces), *ANSWER[2:]])
    chunks = events_of(read(world.handle(chat_body(stream=True))))[1:-2]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == pieces


def test_the_first_chunk_leaves_before_the_answer_is_complete() -> None:
    world = small_world()
    response = world.handle(chat_body(stream=True))
    assert b'"role":"assistant"' in next(response.body)
    assert b'"Good "' in next(response.body)
    assert world.telemetry.lines == []


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (UpstreamUnavailableError(CANARY), "answer_broken", 503),
        (UpstreamTimeoutError(CANARY), "timeout", 504),
        (UpstreamThrottledError(CANARY), "answer_broken", 503),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_event_and_closes_the_record(
    failure: UpstreamError, code: str, status: int
) -> None:
    world = small_world(sample_rate=1.0)
    world.chat_model.plan("medium", [*ANSWER[:1], failure])

    *chunks, last = events_of(read(world.handle(chat_body(stream=True))))

    assert last["error"].keys() == {"message", "type", "code", "param"}
    assert last["error"]["code"] == code
    assert CANARY not in json.dumps(last)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None]
    assert (world.line["status"], world.queue.messages) == (status, [])


def close(pieces: Iterator[bytes]) -> None:
    """Do what a server does when its client goes away."""
    getattr(pieces, "close")()  # noqa: B009 - not every body has it


@pytest.mark.parametrize(("taken", "status"), [(0, 499), (1, 499), (3, 499), (5, 200)])
def test_a_stream_closed_by_its_reader_is_recorded_however_far_it_came(
    taken: int, status: int
) -> None:
    world = small_world()
    response = world.handle(chat_body(stream=True))
    for _ in range(taken):
        next(response.body)
    if status == 200:
        assert next(response.body, None) is None

    close(response.body)

    assert world.line["status"] == status


def test_a_stream_with_half_a_surrogate_pair_is_still_a_stream() -> None:
    world = small_world()
    world.chat_model.plan("medium", [TextDelta("a\ud83d"), *ANSWER[2:]])
    chunks = events_of(read(world.handle(chat_body(stream=True))))
    assert chunks[1]["choices"][0]["delta"] == {"content": "a\ufffd"}


# Explanations and health


def test_route_explains_the_decision_and_asks_nobody() -> None:
    world = small_world()
    explained = read_json(
        world.handle(chat_body(CANARY, model="regroup-quality"), path="/v1/route")
    )
    assert world.chat_model.calls == []
    assert explained == {
        "decision_id": "id-0",
        "version": DIGEST,
        "routed_model": "large",
        "reason": "learned",
        "preset": "quality",
        "cluster_id": 0,
        "distance": 1.0,
        "predicted_rewards": REWARDS,
        "predicted_output_tokens": pytest.approx(dict.fromkeys(REWARDS, 100.0), abs=1e-4),
        "predicted_costs_usd": pytest.approx({"small": 103e-6, "medium": 412e-6, "large": 2060e-6}),
        "mask": dict.fromkeys(REWARDS),
        "probabilities": {"champion": {"small": 0.0, "medium": 0.0, "large": 1.0}},
        "explore_allowed": True,
        "cache": "miss",
    }


@pytest.mark.parametrize(
    ("rewards", "artifact", "routes"), [(REWARDS, DIGEST, True), (None, None, False)]
)
def test_health_says_what_is_live(
    rewards: dict[str, float] | None, artifact: str | None, routes: bool
) -> None:
    world = small_world(rewards=rewards)
    response = world.handle(b"", method="GET", path="/healthz")
    assert response.status == 200
    assert read_json(response) == {
        "status": "ok",
        "artifact": artifact,
        "routes": routes,
        "candidates": ["small", "medium", "large"],
    }


def test_without_an_artifact_chat_is_answered_by_the_default() -> None:
    response = small_world(rewards=None).handle(chat_body(model="regroup-quality"))
    assert response.headers["x-regroup-model"] == "medium"
    assert response.headers["x-regroup-cache"] == "unused"


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
