"""The loopback Bedrock keeps its promises: shapes, plans, faults, and an end without waiting."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

from tests.local.bedrock import (
    Delay,
    Garbage,
    LoopbackBedrock,
    Ok,
    Reply,
    Request,
    Reset,
    ResetMidStream,
    Status,
    StreamException,
    Throttle,
)
from tests.local.converse import echo, example_of
from tests.local.shapes import Shape, assistant, gave, image, tools, use, user

MODEL = "amazon.nova-lite-v1:0"
OTHER = "amazon.nova-pro-v1:0"
MESSAGES: Shape = [{"role": "user", "content": [{"text": "hello there"}]}]


def connect(bedrock: LoopbackBedrock) -> BedrockRuntimeClient:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    return session.client(
        "bedrock-runtime",
        region_name="ap-northeast-1",
        endpoint_url=bedrock.endpoint_url,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5),
    )


@pytest.fixture
def bedrock() -> Iterator[LoopbackBedrock]:
    with LoopbackBedrock() as server:
        yield server


@pytest.fixture
def client(bedrock: LoopbackBedrock) -> Iterator[BedrockRuntimeClient]:
    client = connect(bedrock)
    yield client
    client.close()


def outcome(client: BedrockRuntimeClient, model_id: str = MODEL) -> str:
    """Name the error of a call, or `ok`."""
    try:
        client.converse(modelId=model_id, messages=MESSAGES)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except ConnectionClosedError:
        return "reset"
    return "ok"


def test_converse_and_its_stream_say_the_same(client: BedrockRuntimeClient) -> None:
    whole = client.converse(modelId=MODEL, messages=MESSAGES)
    events: list[Any] = list(client.converse_stream(modelId=MODEL, messages=MESSAGES)["stream"])

    text = "".join(
        e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e
    )
    assert whole["output"]["message"]["content"] == [{"text": text}]
    assert text == f"{MODEL} answers: hello there"
    assert [next(iter(event)) for event in events][-3:] == [
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_the_echo_keeps_within_max_tokens(client: BedrockRuntimeClient) -> None:
    answer = client.converse(modelId=MODEL, messages=MESSAGES, inferenceConfig={"maxTokens": 2})

    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 2
    assert answer["output"]["message"]["content"] == [{"text": MODEL[:8]}]


def test_the_responder_sees_the_model_and_the_request() -> None:
    seen: list[tuple[str, Request]] = []

    def answer(model_id: str, request: Request) -> Reply:
        seen.append((model_id, request))
        return Reply("mine", 1, 2, stop_reason="max_tokens", reasoning="hm")

    with LoopbackBedrock(answer) as bedrock:
        client = connect(bedrock)
        said = client.converse(modelId=MODEL, messages=MESSAGES)
        client.close()

    assert seen == [(MODEL, {"messages": MESSAGES})]
    assert said["stopReason"] == "max_tokens"
    assert [next(iter(block)) for block in said["output"]["message"]["content"]] == [
        "reasoningContent",
        "text",
    ]


def test_a_plan_is_a_queue_per_model_and_then_what_always_holds(
    bedrock: LoopbackBedrock, client: BedrockRuntimeClient
) -> None:
    bedrock.plan(MODEL, [Throttle(), Ok()])
    bedrock.plan(MODEL, [Status(503, "ServiceUnavailableException"), Reset()])
    bedrock.always(OTHER, Status(403, "AccessDeniedException"))

    assert [outcome(client) for _ in range(5)] == [
        "ThrottlingException",
        "ok",
        "ServiceUnavailableException",
        "reset",
        "ok",
    ]
    assert [outcome(client, OTHER) for _ in range(2)] == ["AccessDeniedException"] * 2
    assert [call.model_id for call in bedrock.calls] == [MODEL] * 5 + [OTHER] * 2


def test_faults_meant_for_streams_have_their_like_in_converse(
    bedrock: LoopbackBedrock, client: BedrockRuntimeClient
) -> None:
    bedrock.plan(MODEL, [StreamException("modelStreamErrorException"), Garbage(), Delay(0)])

    assert outcome(client) == "ModelStreamErrorException"
    assert "output" not in client.converse(modelId=MODEL, messages=MESSAGES)
    assert outcome(client) == "ok"

    bedrock.plan(MODEL, [ResetMidStream(after_events=1)])
    assert outcome(client) == "reset"


def test_a_reset_is_no_polite_goodbye(
    bedrock: LoopbackBedrock, client: BedrockRuntimeClient
) -> None:
    bedrock.plan(MODEL, [Reset()])

    with pytest.raises(ConnectionClosedError) as caught:
        client.converse(modelId=MODEL, messages=MESSAGES)

    assert "reset by peer" in str(caught.value.kwargs["error"])


def test_only_the_models_named_exist() -> None:
    with LoopbackBedrock(models=[MODEL]) as bedrock:
        client = connect(bedrock)
        assert outcome(client) == "ok"
        assert outcome(client, OTHER) == "ResourceNotFoundException"
        client.close()


# Tools, images and JSON schemas


SCHEMA: Shape = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 3},
        "unit": {"enum": ["C", "F"]},
        "left out": {"type": "string"},
    },
    "required": ["city", "days", "unit"],
}


offer = partial(tools, schema=SCHEMA)
FILLED = {"city": "text", "days": 3, "unit": "C"}


@pytest.mark.parametrize(
    ("said", "config", "called"),
    [
        ("hello", offer("weather"), []),
        ("call weather!", offer("weather", "now"), ["weather"]),
        ("weather, then now", offer("now", "weather"), ["now", "weather"]),
        ("the weather-station", offer("weather"), []),
        ("hello", offer("weather", "now", any={}), ["weather"]),
        ("what is it now?", offer("weather", "now", any={}), ["now"]),
        ("weather", offer("weather", "now", tool={"name": "now"}), ["now"]),
    ],
)
def test_the_echo_calls_the_tools_that_are_asked_for(
    said: str, config: Shape, called: list[str]
) -> None:
    answer = echo(MODEL, {"messages": [user(said)], "toolConfig": config})

    assert [call.name for call in answer.tool_calls] == called
    assert all(call.input == FILLED for call in answer.tool_calls)
    assert len({call.id for call in answer.tool_calls}) == len(called)
    assert answer.stop_reason == ("tool_use" if called else "end_turn")
    assert bool(answer.text) is not bool(called)


def test_a_tool_use_is_streamed_in_pieces(client: BedrockRuntimeClient) -> None:
    stream = client.converse_stream(
        modelId=MODEL, messages=[user("weather")], toolConfig=offer("weather")
    )
    events: list[Any] = list(stream["stream"])

    starts = [e["contentBlockStart"] for e in events if "contentBlockStart" in e]
    pieces = [e["contentBlockDelta"] for e in events if "contentBlockDelta" in e]
    assert [start["start"]["toolUse"]["name"] for start in starts] == ["weather"]
    assert len(pieces) > 2
    assert json.loads("".join(p["delta"]["toolUse"]["input"] for p in pieces)) == FILLED


def test_the_echo_repeats_what_tools_gave_back(client: BedrockRuntimeClient) -> None:
    messages = [
        user("weather"),
        assistant(use("1"), use("2", "now")),
        user(gave("1", {"text": "rain"}), gave("2", {"text": "noon"}, image()), "thanks"),
    ]

    answer = client.converse(modelId=MODEL, messages=messages, toolConfig=offer("weather", any={}))

    assert answer["output"]["message"]["content"] == [
        {"text": f"{MODEL} answers: rain; noon (images: 1, bytes: 6)"}
    ]


def test_the_echo_counts_images(client: BedrockRuntimeClient) -> None:
    answer = client.converse(modelId=MODEL, messages=[user("see", image(), image(b"gif", "gif"))])

    assert answer["output"]["message"]["content"] == [
        {"text": f"{MODEL} answers: see (images: 2, bytes: 6, 3)"}
    ]


def test_the_echo_keeps_to_a_json_schema(client: BedrockRuntimeClient) -> None:
    structure: Any = {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "city"}}

    answer = client.converse(
        modelId=MODEL,
        messages=MESSAGES,
        outputConfig={"textFormat": {"type": "json_schema", "structure": structure}},
    )

    [block] = answer["output"]["message"]["content"]
    assert json.loads(block["text"]) == FILLED


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({}, "text"),
        ({"type": "string"}, "text"),
        ({"type": "number"}, 1.5),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 18}, 18),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"const": 7}, 7),
        ({"enum": ["a", "b"]}, "a"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array"}, ["text"]),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"type": "null"}}, "required": ["a", "b"]}, {"a": None, "b": "text"}),
        (SCHEMA, FILLED),
    ],
)
def test_an_example_fits_its_schema(schema: dict[str, Any], example: object) -> None:
    assert example_of(schema) == example


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant", "content": [{"text": "a"}]}],
        [*MESSAGES, *MESSAGES],
        [user("hi"), assistant(use()), user(gave())],
    ],
)
def test_what_bedrock_refuses_is_refused(client: BedrockRuntimeClient, messages: Shape) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        client.converse(modelId=MODEL, messages=messages)


def test_calls_from_many_threads_are_all_recorded(
    bedrock: LoopbackBedrock, client: BedrockRuntimeClient
) -> None:
    bedrock.plan(MODEL, [Throttle()] * 10)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: outcome(client), range(40)))

    assert sorted(outcomes) == ["ThrottlingException"] * 10 + ["ok"] * 30
    assert len(bedrock.calls) == 40


def test_closing_waits_for_no_delay() -> None:
    started = time.monotonic()

    with LoopbackBedrock() as bedrock, ThreadPoolExecutor(1) as pool:
        bedrock.plan(MODEL, [Ok(), Delay(60)])
        client = connect(bedrock)
        assert outcome(client) == "ok"
        waiting = pool.submit(outcome, client)
        assert bedrock.wait_for_calls(2)
        bedrock.close()
        assert waiting.result() == "reset"
        client.close()

    assert time.monotonic() - started < 4


def test_a_broken_responder_is_shown_when_the_server_closes() -> None:
    def broken(model_id: str, request: Request) -> Reply:
        raise KeyError(model_id)

    bedrock = LoopbackBedrock(broken).__enter__()
    client = connect(bedrock)
    assert outcome(client) == "reset"
    client.close()

    with pytest.raises(RuntimeError, match="the loopback server broke"):
        bedrock.__exit__(None, None, None)
