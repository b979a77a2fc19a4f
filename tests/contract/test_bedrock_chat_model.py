"""`BedrockChatModel` with real boto3 over HTTP, against the loopback Bedrock and its faults."""

import json
import socket
import time
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import CredentialResolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

from classifier.patience import PatientEvents
from regroup.adapters.bedrock import TIMEOUT_LADDER_SECONDS, BedrockChatModel, ladder_rung
from regroup.domain.catalog import Candidate, Capabilities, Prices
from regroup.domain.chat import (
    Answer,
    ChatEvent,
    ChatRequest,
    Image,
    JsonSchema,
    Metered,
    NamedTool,
    Stop,
    Text,
    TextDelta,
    Tool,
    ToolDelta,
    ToolResult,
    ToolStart,
    ToolUse,
    Turn,
    Usage,
    fold,
    said,
)
from regroup.errors import (
    UpstreamDeniedError,
    UpstreamError,
    UpstreamIncapableError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local import eventstream
from tests.local.bedrock import (
    Delay,
    Fault,
    Garbage,
    LoopbackBedrock,
    Ok,
    Reply,
    Request,
    Reset,
    ResetMidStream,
    Stall,
    Status,
    StreamException,
    Throttle,
    ToolCall,
)
from tests.local.converse import reply_frames

MODEL = "amazon.nova-lite-v1:0"
ARN = "arn:aws:bedrock:ap-northeast-1:123456789012:application-inference-profile/abc-1"
CANDIDATE = Candidate(
    name="nova",
    family="nova",
    model_id=MODEL,
    region="ap-northeast-1",
    prices=Prices(input=1, output=5),
    context_tokens=300_000,
    max_output_tokens=5_000,
    tokens_per_char={"latin": 0.25, "cjk": 1, "other": 0.5},
    capabilities=Capabilities(),
    residency="jp",
)
PROMPT = "canary-prompt, say four words"
REQUEST = ChatRequest(turns=(said("user", PROMPT),), system=("be short",), max_tokens=100)
REPLY = Reply(
    "one two three four", 11, 4, reasoning="hm", cache_read_tokens=5, cache_write_tokens=6
)
FRAMES = reply_frames(REPLY)
FIRST_TEXT = 4  # messageStart, reasoning delta and its stop come before


class Clients:
    """A client factory that points at the loopback server and counts what it builds."""

    def __init__(self, endpoint_url: str, session: boto3.Session | None = None) -> None:
        self.endpoint_url = endpoint_url
        self.built: list[tuple[str, Config]] = []
        self._session = session or boto3.Session(
            aws_access_key_id="test", aws_secret_access_key="test"
        )

    def __call__(self, region: str, config: Config) -> BedrockRuntimeClient:
        self.built.append((region, config))
        return self._session.client(
            "bedrock-runtime", region_name=region, endpoint_url=self.endpoint_url, config=config
        )


@pytest.fixture
def bedrock() -> Iterator[LoopbackBedrock]:
    def answer(model_id: str, request: Request) -> Reply:
        return REPLY

    with LoopbackBedrock(answer, models={MODEL, ARN}) as server:
        yield server


@pytest.fixture
def clients(bedrock: LoopbackBedrock) -> Clients:
    return Clients(bedrock.endpoint_url)


@pytest.fixture
def model(clients: Clients) -> Iterator[BedrockChatModel]:
    model = BedrockChatModel(clients)
    yield model
    model.close()


def ask(model: BedrockChatModel, candidate: Candidate = CANDIDATE) -> Iterator[ChatEvent]:
    return model.stream(candidate, REQUEST, timeout_seconds=5)


def take_until_error(events: Iterator[ChatEvent]) -> tuple[list[ChatEvent], UpstreamError]:
    """Return what came before the error, and the error."""
    seen: list[ChatEvent] = []
    with pytest.raises(UpstreamError) as caught:
        deque(map(seen.append, events), maxlen=0)
    return seen, caught.value


def test_an_answer_comes_in_pieces_then_stop_then_usage(model: BedrockChatModel) -> None:
    assert list(ask(model)) == [
        *(TextDelta(text) for text in ("one", " two", " three", " four")),
        Stop("stop"),
        Metered(Usage(input=11, output=4, cache_read=5, cache_write=6)),
    ]


def test_the_request_arrives_as_translated(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    fold(ask(model))

    [call] = bedrock.calls
    assert (call.model_id, call.operation) == (MODEL, "converse-stream")
    assert call.request == {
        "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
        "system": [{"text": "be short"}],
        "inferenceConfig": {"maxTokens": 100},
    }


# Tools, images and JSON schemas


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get.weather", "Tells the weather", SCHEMA)
ABLE = replace(
    CANDIDATE, capabilities=Capabilities(tools=True, forced_tool_choice=True, images=True)
)


def test_tools_images_and_results_arrive_over_the_wire(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    png = b"\x89PNG\r\n\x1a\n\x00\xff"
    turns = (
        Turn("user", (Text("where is this?"), Image("png", png))),
        Turn("assistant", (ToolUse("call_1", "get.weather", '{"city": "Oslo"}'),)),
        Turn("user", (ToolResult("call_1", (Text("rain"), Image("png", png))), Text("so?"))),
    )
    request = ChatRequest(turns, tools=(WEATHER,), tool_choice=NamedTool("get.weather"))

    fold(model.stream(ABLE, request, timeout_seconds=5))

    [call] = bedrock.calls
    [tool] = call.request["toolConfig"]["tools"]
    name = tool["toolSpec"]["name"]
    image = {"image": {"format": "png", "source": {"bytes": b64encode(png).decode()}}}
    use = {"toolUseId": "call_1", "name": name, "input": {"city": "Oslo"}}
    result = {"toolUseId": "call_1", "content": [{"text": "rain"}, image]}
    assert [message["content"] for message in call.request["messages"]] == [
        [{"text": "where is this?"}, image],
        [{"toolUse": use}],
        [{"toolResult": result}, {"text": "so?"}],
    ]
    assert tool["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert call.request["toolConfig"]["toolChoice"] == {"tool": {"name": name}}


def test_tool_uses_come_in_pieces_under_the_names_of_the_request() -> None:
    def call_twice(model_id: str, request: Request) -> Reply:
        [tool] = request["toolConfig"]["tools"]
        name = tool["toolSpec"]["name"]
        calls = (ToolCall("tooluse_1", name, {"city": '大阪 "北"'}), ToolCall("2", name, {}))
        return Reply("Let me see.", 1, 2, "tool_use", reasoning="hm", tool_calls=calls)

    with LoopbackBedrock(call_twice) as bedrock:
        model = BedrockChatModel(Clients(bedrock.endpoint_url))
        request = replace(REQUEST, tools=(WEATHER,))
        events = list(model.stream(ABLE, request, timeout_seconds=5))
        model.close()

    starts = [event for event in events if isinstance(event, ToolStart)]
    assert starts == [
        ToolStart(0, "tooluse_1", "get.weather"),
        ToolStart(1, "2", "get.weather"),
    ]
    assert sum(isinstance(event, ToolDelta) for event in events) > 2
    answer = fold(events)
    assert (answer.text, answer.stop_reason) == ("Let me see.", "tool_calls")
    assert [json.loads(use.arguments) for use in answer.tool_uses] == [{"city": '大阪 "北"'}, {}]


@pytest.mark.parametrize("native", [True, False])
def test_an_answer_keeps_to_a_json_schema_with_and_without_a_setting_for_it(native: bool) -> None:
    candidate = replace(ABLE, capabilities=replace(ABLE.capabilities, json_schema=native))
    request = replace(REQUEST, json_schema=JsonSchema("city", SCHEMA))

    with LoopbackBedrock() as bedrock:
        model = BedrockChatModel(Clients(bedrock.endpoint_url))
        answer = fold(model.stream(candidate, request, timeout_seconds=5))
        model.close()

    assert json.loads(answer.text) == {"city": "text"}
    assert (answer.stop_reason, answer.tool_uses) == ("stop", ())
    assert ("toolConfig" in bedrock.calls[0].request) is not native


def test_a_form_that_the_candidate_cannot_keep_to_is_not_asked_for(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    request = replace(REQUEST, json_schema=JsonSchema("city", SCHEMA))

    with pytest.raises(UpstreamIncapableError):
        next(model.stream(CANDIDATE, request, timeout_seconds=5))

    assert bedrock.calls == []


def test_a_profile_is_called_by_its_arn(model: BedrockChatModel, bedrock: LoopbackBedrock) -> None:
    answer = fold(ask(model, replace(CANDIDATE, profile_arn=ARN)))

    assert answer.text == REPLY.text
    assert [call.model_id for call in bedrock.calls] == [ARN]


def test_nothing_is_sent_before_the_first_next(
    model: BedrockChatModel, bedrock: LoopbackBedrock, clients: Clients
) -> None:
    ask(model)

    assert bedrock.calls == []
    assert clients.built == []


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (Throttle(), UpstreamThrottledError),
        (Status(429, "ModelNotReadyException"), UpstreamThrottledError),
        (Status(408, "ModelTimeoutException"), UpstreamTimeoutError),
        (Status(500, "InternalServerException"), UpstreamUnavailableError),
        (Status(503, "ServiceUnavailableException"), UpstreamUnavailableError),
        (Status(424, "ModelErrorException"), UpstreamUnavailableError),
        (Status(403, "AccessDeniedException"), UpstreamDeniedError),
        (Status(400, "ValidationException", "Input is too long."), UpstreamIncapableError),
        (Status(400, "ValidationException", f"bad: {PROMPT}"), UpstreamRejectedError),
        (Status(502, "BadGateway"), UpstreamUnavailableError),
        (Reset(), UpstreamUnavailableError),
        (ResetMidStream(after_events=0), UpstreamUnavailableError),
        (Garbage(), UpstreamUnavailableError),
        (Garbage(b""), UpstreamUnavailableError),
        (Garbage(b"<html>busy</html>"), UpstreamUnavailableError),
        (Garbage(b"".join(FRAMES)[:100]), UpstreamUnavailableError),
        (Garbage(FRAMES[0] + b"\0" * 64), UpstreamUnavailableError),
        (Garbage(eventstream.event("messageStop", {})), UpstreamUnavailableError),
        (
            Garbage(
                eventstream.frame({":event-type": "metadata", ":message-type": "event"}, b"[]")
            ),
            UpstreamUnavailableError,
        ),
        (StreamException("throttlingException", 0), UpstreamThrottledError),
        (StreamException("modelStreamErrorException", 1), UpstreamUnavailableError),
        (StreamException("validationException", 1, "Input is too long."), UpstreamIncapableError),
        (StreamException("fromTheFutureException", 1), UpstreamUnavailableError),
    ],
    ids=repr,
)
def test_a_fault_before_the_text_is_one_request_and_one_typed_error(
    model: BedrockChatModel, bedrock: LoopbackBedrock, fault: Fault, meaning: type[UpstreamError]
) -> None:
    bedrock.plan(MODEL, [fault, Ok()])

    with pytest.raises(UpstreamError) as caught:
        next(ask(model))

    assert type(caught.value) is meaning
    assert PROMPT not in str(caught.value)
    assert len(bedrock.calls) == 1  # the SDK did not try again
    assert fold(ask(model)).text == REPLY.text  # and the adapter is none the worse


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (ResetMidStream(FIRST_TEXT), UpstreamUnavailableError),
        (StreamException("ThrottlingException", FIRST_TEXT), UpstreamThrottledError),
        (StreamException("internalServerException", FIRST_TEXT), UpstreamUnavailableError),
        (Garbage(b"".join(FRAMES[:FIRST_TEXT])), UpstreamUnavailableError),
        (Garbage(b"".join(FRAMES[: FIRST_TEXT + 1])[:-5]), UpstreamUnavailableError),
    ],
    ids=repr,
)
def test_a_fault_after_some_text_is_a_typed_error_too(
    model: BedrockChatModel, bedrock: LoopbackBedrock, fault: Fault, meaning: type[UpstreamError]
) -> None:
    bedrock.plan(MODEL, [fault])

    seen, error = take_until_error(ask(model))

    assert seen == [TextDelta("one")]
    assert type(error) is meaning
    assert error.__cause__ is not None or isinstance(fault, Garbage)


@pytest.mark.parametrize("missing", [1, 2])
def test_an_answer_without_its_last_events_is_not_taken_for_whole(
    model: BedrockChatModel, bedrock: LoopbackBedrock, missing: int
) -> None:
    bedrock.plan(MODEL, [Garbage(b"".join(FRAMES[:-missing]))])

    seen, error = take_until_error(ask(model))

    assert isinstance(error, UpstreamUnavailableError)
    assert all(isinstance(event, TextDelta) for event in seen)


def test_a_model_that_stays_silent_is_a_timeout_in_time(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    bedrock.plan(MODEL, [Delay(60)])
    started = time.monotonic()

    with pytest.raises(UpstreamTimeoutError):
        next(model.stream(CANDIDATE, REQUEST, timeout_seconds=1.2))

    assert time.monotonic() - started < 10
    assert len(bedrock.calls) == 1


def test_a_delay_inside_the_timeout_is_waited_for(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    bedrock.plan(MODEL, [Delay(0.01)])

    assert fold(ask(model)).text == REPLY.text


def test_a_model_that_is_not_there_is_denied(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    with pytest.raises(UpstreamDeniedError):
        next(ask(model, replace(CANDIDATE, model_id="amazon.titan-text-lite-v1")))

    assert len(bedrock.calls) == 1


def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    model = BedrockChatModel(Clients(f"http://127.0.0.1:{port}"))

    with pytest.raises(UpstreamUnavailableError):
        next(ask(model))

    model.close()


def test_missing_credentials_are_denied(bedrock: LoopbackBedrock) -> None:
    bare = botocore.session.get_session()
    bare.register_component("credential_provider", CredentialResolver(providers=[]))
    clients = Clients(bedrock.endpoint_url, boto3.Session(botocore_session=bare))
    model = BedrockChatModel(clients)

    with pytest.raises(UpstreamDeniedError):
        next(ask(model))

    assert bedrock.calls == []
    model.close()


def test_what_the_sdk_itself_refuses_is_rejected(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    with pytest.raises(UpstreamRejectedError):
        next(model.stream(CANDIDATE, replace(REQUEST, max_tokens=0), timeout_seconds=5))

    assert bedrock.calls == []


def test_a_client_is_built_once_per_region_and_rung(
    model: BedrockChatModel, clients: Clients
) -> None:
    for timeout in (5, 5.9, 7.99, 0.2, 1.5):
        fold(model.stream(CANDIDATE, REQUEST, timeout_seconds=timeout))
    fold(ask(model, replace(CANDIDATE, region="us-east-1")))

    built = [(region, config.read_timeout) for region, config in clients.built]  # type: ignore[attr-defined]
    assert built == [("ap-northeast-1", 5), ("ap-northeast-1", 1), ("us-east-1", 5)]


def test_what_is_prepared_is_what_requests_of_that_time_use(
    model: BedrockChatModel, clients: Clients
) -> None:
    regions = [CANDIDATE.region, "us-east-1"]
    model.prepare(regions, timeout_seconds=6.0)
    model.prepare(regions, timeout_seconds=6.0)

    rungs = [(region, config.read_timeout) for region, config in clients.built]  # type: ignore[attr-defined]
    assert rungs == [(region, rung) for region in regions for rung in (1, 2, 3, 5)]
    fold(model.stream(CANDIDATE, REQUEST, timeout_seconds=6.0))
    assert len(clients.built) == len(rungs)


@given(st.floats(-5, 2_000))
def test_a_rung_is_never_longer_than_the_time_given_from_one_second_on(seconds: float) -> None:
    rung = ladder_rung(seconds)

    assert rung in TIMEOUT_LADDER_SECONDS
    assert rung <= max(1, seconds)
    assert not any(rung < other <= seconds for other in TIMEOUT_LADDER_SECONDS)


def test_an_answer_left_halfway_leaves_no_connection_behind(
    model: BedrockChatModel, bedrock: LoopbackBedrock
) -> None:
    answer = ask(model)
    assert list(islice(answer, 1)) == [TextDelta("one")]
    answer.close()  # type: ignore[attr-defined]

    assert fold(ask(model)) == Answer(
        REPLY.text, "stop", Usage(input=11, output=4, cache_read=5, cache_write=6)
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=200) | st.integers(0, len(b"".join(FRAMES)) - 1))
def test_no_answer_at_all_surfaces_as_anything_but_an_upstream_error(
    model: BedrockChatModel, bedrock: LoopbackBedrock, body: bytes | int
) -> None:
    """Random bytes, and a right answer cut anywhere."""
    cut = body if isinstance(body, bytes) else b"".join(FRAMES)[:body]
    bedrock.plan(MODEL, [Garbage(cut)])

    _, error = take_until_error(ask(model))

    assert isinstance(error, UpstreamUnavailableError)


def test_a_stream_that_falls_silent_late_is_given_up_when_the_time_is_up(
    bedrock: LoopbackBedrock, model: BedrockChatModel
) -> None:
    # The SDK waits through any silence shorter than its own timeout of five seconds.
    bedrock.plan(MODEL, [Stall(FIRST_TEXT, seconds=4)])
    events = PatientEvents(ask(model))
    assert events.next_within(5) == TextDelta("one")

    with pytest.raises(UpstreamTimeoutError):
        events.next_within(0.05)


def test_a_candidate_that_is_silent_from_the_start_is_given_up_when_the_time_is_up(
    bedrock: LoopbackBedrock, model: BedrockChatModel
) -> None:
    bedrock.plan(MODEL, [Delay(4)])
    with pytest.raises(UpstreamTimeoutError):
        PatientEvents(ask(model)).next_within(0.05)
