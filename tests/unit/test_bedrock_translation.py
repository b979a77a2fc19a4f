"""The pure half of the Bedrock adapter: requests, events and errors in each other's terms."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from regroup.adapters.bedrock import (
    DEFAULT_MAX_TOKENS,
    TIMEOUT_LADDER_SECONDS,
    chat_events,
    converse_request,
    ladder_rung,
)
from regroup.domain.catalog import Candidate, Capabilities, Prices
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage, said
from regroup.errors import (
    UpstreamRejectedError,
    UpstreamUnavailableError,
)
from tests.local.converse import complaint

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
SHAPES: Any = SERVICE.shape_for
CONVERSE_STREAM: OperationModel = SERVICE.operation_model("ConverseStream")

CANDIDATE = Candidate(
    name="haiku",
    family="claude",
    model_id="anthropic.claude-haiku-4-5-20251001-v1:0",
    region="ap-northeast-1",
    prices=Prices(input=1, output=5),
    context_tokens=200_000,
    max_output_tokens=8_000,
    tokens_per_char={"latin": 0.25, "cjk": 1, "other": 0.5},
    capabilities=Capabilities(),
    residency="jp",
)
HELLO = ChatRequest(turns=(said("user", "hello"),))


def translate(candidate: Candidate = CANDIDATE, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Translate HELLO with some fields changed."""
    return dict(converse_request(candidate, replace(HELLO, **changes)))


# Requests


words = st.text(max_size=20)
requests = st.builds(
    ChatRequest,
    turns=st.lists(
        st.builds(said, role=st.sampled_from(["user", "assistant"]), text=words), max_size=6
    ).map(tuple),
    system=st.lists(words, max_size=3).map(tuple),
    max_tokens=st.none() | st.integers(1, 100_000),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(words, max_size=4).map(tuple),
)
candidates = st.builds(
    replace,
    st.just(CANDIDATE),
    capabilities=st.builds(Capabilities, sampling=st.booleans(), system=st.booleans()),
    guardrail_id=st.sampled_from([None, "abc123", "abc123:4"]),
)


@given(candidates, requests)
def test_bedrock_takes_every_translated_request(candidate: Candidate, request: ChatRequest) -> None:
    if not any(turn.text.strip() for turn in request.turns):
        with pytest.raises(UpstreamRejectedError):
            converse_request(candidate, request)
        return

    converse: Any = converse_request(candidate, request)

    assert CONVERSE_STREAM.input_shape is not None
    report = ParamValidator().validate(converse, CONVERSE_STREAM.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert complaint(converse) is None
    inference = converse["inferenceConfig"]
    assert 1 <= inference["maxTokens"] <= candidate.max_output_tokens
    assert inference.get("temperature", 0) <= 1
    assert all(inference.get("stopSequences", ["some"]))


def test_a_plain_request_carries_no_more_than_it_must() -> None:
    assert translate() == {
        "modelId": CANDIDATE.model_id,
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": DEFAULT_MAX_TOKENS},
    }


def test_everything_a_request_can_hold_is_sent() -> None:
    converse = translate(
        system=("be short", "be kind"), max_tokens=7, temperature=0.5, top_p=0.25, stop=("END",)
    )

    assert converse["system"] == [{"text": "be short"}, {"text": "be kind"}]
    assert converse["inferenceConfig"] == {
        "maxTokens": 7,
        "temperature": 0.5,
        "topP": 0.25,
        "stopSequences": ["END"],
    }


def test_turns_of_one_role_are_joined_and_blank_ones_dropped() -> None:
    turns = (
        said("user", "one"),
        said("assistant", " \n"),
        said("user", "two"),
        said("assistant", "three"),
        said("user", "four"),
    )

    assert translate(turns=turns)["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
        {"role": "assistant", "content": [{"text": "three"}]},
        {"role": "user", "content": [{"text": "four"}]},
    ]


def test_a_user_turn_goes_before_an_assistant_that_opens() -> None:
    messages = translate(turns=(said("assistant", "Welcome!"), said("user", "hi")))["messages"]

    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == [{"text": "Welcome!"}]


def test_a_prefill_does_not_end_in_white_space() -> None:
    messages = translate(turns=(said("user", "count"), said("assistant", "one, \n")))["messages"]

    assert messages[-1] == {"role": "assistant", "content": [{"text": "one,"}]}


def test_system_text_goes_to_the_user_where_there_is_no_system_prompt() -> None:
    candidate = replace(CANDIDATE, capabilities=Capabilities(system=False))

    converse = translate(candidate, system=("be short",))

    assert "system" not in converse
    assert converse["messages"] == [
        {"role": "user", "content": [{"text": "be short"}, {"text": "hello"}]}
    ]


@pytest.mark.parametrize(
    ("wanted", "limit", "sent"),
    [
        (None, 8_000, DEFAULT_MAX_TOKENS),
        (None, 1_000, 1_000),
        (500, 8_000, 500),
        (9_000, 8_000, 8_000),
    ],
)
def test_max_tokens_is_always_sent(wanted: int | None, limit: int, sent: int) -> None:
    candidate = replace(CANDIDATE, max_output_tokens=limit)

    assert translate(candidate, max_tokens=wanted)["inferenceConfig"]["maxTokens"] == sent


def test_a_candidate_without_sampling_gets_no_sampling() -> None:
    candidate = replace(CANDIDATE, capabilities=Capabilities(sampling=False))

    config = translate(candidate, temperature=0.5, top_p=0.5)["inferenceConfig"]

    assert set(config) == {"maxTokens"}


def test_openai_sampling_is_brought_to_bedrocks_scale() -> None:
    config = translate(temperature=1.7, top_p=1.0)["inferenceConfig"]

    assert config == {"maxTokens": DEFAULT_MAX_TOKENS, "temperature": 1.0}


GUARDRAIL_ARN = "arn:aws:bedrock:ap-northeast-1:123456789012:guardrail/abc123"


@pytest.mark.parametrize(
    ("guardrail_id", "identifier", "version"),
    [
        ("abc123", "abc123", "DRAFT"),
        ("abc123:2", "abc123", "2"),
        ("abc123:DRAFT", "abc123", "DRAFT"),
        (GUARDRAIL_ARN, GUARDRAIL_ARN, "DRAFT"),
        (f"{GUARDRAIL_ARN}:12", GUARDRAIL_ARN, "12"),
    ],
)
def test_a_guardrail_is_named_by_id_and_version(
    guardrail_id: str, identifier: str, version: str
) -> None:
    converse = translate(replace(CANDIDATE, guardrail_id=guardrail_id))

    assert converse["guardrailConfig"] == {
        "guardrailIdentifier": identifier,
        "guardrailVersion": version,
    }


def test_the_application_inference_profile_is_called_where_there_is_one() -> None:
    arn = "arn:aws:bedrock:ap-northeast-1:123456789012:application-inference-profile/abc"

    assert translate(replace(CANDIDATE, profile_arn=arn))["modelId"] == arn


@given(st.floats(-5, 2_000))
def test_a_rung_is_never_longer_than_the_time_given_from_one_second_on(seconds: float) -> None:
    rung = ladder_rung(seconds)

    assert rung in TIMEOUT_LADDER_SECONDS
    assert rung <= max(1, seconds)
    assert not any(rung < other <= seconds for other in TIMEOUT_LADDER_SECONDS)


# Events


def delta(text: object) -> dict[str, object]:
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}


def stop(reason: object) -> dict[str, object]:
    return {"messageStop": {"stopReason": reason}}


METADATA: dict[str, object] = {
    "metadata": {
        "usage": {
            "inputTokens": 3,
            "outputTokens": 2,
            "totalTokens": 45,
            "cacheReadInputTokens": 40,
            "cacheWriteInputTokens": 7,
        },
        "metrics": {"latencyMs": 1},
    }
}
USAGE = Usage(input=3, output=2, cache_read=40, cache_write=7)


def test_text_stop_and_usage_come_in_that_order() -> None:
    events: list[dict[str, object]] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        delta("Hel"),
        delta(""),
        delta("lo"),
        METADATA,
        stop("end_turn"),
    ]

    assert list(chat_events("haiku", events)) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Stop("stop"),
        Metered(USAGE),
    ]


def test_text_is_handed_on_before_the_stream_ends() -> None:
    answer = chat_events("haiku", iter([delta("first"), delta("second")]))

    assert next(answer) == TextDelta("first")


@pytest.mark.parametrize("cache", [{}, {"cacheReadInputTokens": "many"}])
def test_usage_without_a_cache_is_zero_there(cache: dict[str, object]) -> None:
    bare: dict[str, object] = {"usage": {"inputTokens": 3, "outputTokens": 2, **cache}}

    answer = chat_events("haiku", [delta("a"), stop("end_turn"), {"metadata": bare}])

    assert list(answer)[-1] == Metered(Usage(input=3, output=2))


STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}
UNEXPLAINED = {"end_turn", "malformed_model_output", "malformed_tool_use", "from_the_future"}


@pytest.mark.parametrize("reason", SHAPES("StopReason").enum)
def test_every_stop_reason_of_the_service_model_is_known(reason: str) -> None:
    assert Stop(STOP_REASONS[reason]) in chat_events("haiku", [delta("a"), stop(reason), METADATA])  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [*STOP_REASONS, "from_the_future"])
def test_an_answer_without_text_needs_a_reason(reason: str) -> None:
    events = chat_events("haiku", [stop(reason), METADATA])

    if reason in UNEXPLAINED:
        with pytest.raises(UpstreamUnavailableError):
            list(events)
    else:
        assert [type(event) for event in events] == [Stop, Metered]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [delta("a")],
        [delta("a"), METADATA],
        [delta("a"), stop("end_turn")],
        [delta("a"), stop(None), METADATA],
        [delta("a"), stop("end_turn"), {"metadata": {"usage": {"inputTokens": "x"}}}],
    ],
)
def test_a_stream_that_ends_early_is_an_error(events: list[dict[str, object]]) -> None:
    with pytest.raises(UpstreamUnavailableError):
        list(chat_events("haiku", events))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
alien = st.one_of(
    st.dictionaries(st.text(max_size=5), json_values, max_size=2),
    json_values.map(delta),
    json_values.map(stop),
    json_values.map(lambda value: {"metadata": {"usage": value}}),
    json_values.map(
        lambda value: {
            "metadata": {
                "usage": {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": value}
            }
        }
    ),
    st.sampled_from(["contentBlockDelta", "messageStop", "metadata"]).flatmap(
        lambda name: json_values.map(lambda value: {name: value})
    ),
    st.just(METADATA),
    st.just(stop("end_turn")),
    st.just(delta("text")),
)


@given(st.lists(alien, max_size=6))
def test_alien_events_end_in_a_well_formed_answer_or_a_typed_error(
    events: list[Mapping[str, object]],
) -> None:
    seen: list[ChatEvent] = []
    try:
        for event in chat_events("haiku", events):
            seen.append(event)
    except UpstreamUnavailableError:
        assert all(isinstance(event, TextDelta) for event in seen)
        return
    *deltas, last_but_one, last = seen
    assert all(isinstance(event, TextDelta) and event.text for event in deltas)
    assert isinstance(last_but_one, Stop)
    assert isinstance(last, Metered)
    assert all(isinstance(count, int) for count in (last.usage.input, last.usage.cache_read))
