"""Bedrock's events in the project's own words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.converse_events import chat_events
from regroup.converse_turns import tool_names
from regroup.domain.catalog import Candidate, Capabilities, Prices
from regroup.domain.chat import (
    Answer,
    ChatEvent,
    ChatRequest,
    JsonSchema,
    Metered,
    Stop,
    TextDelta,
    Tool,
    ToolDelta,
    ToolStart,
    ToolUse,
    Usage,
    fold,
    said,
)
from regroup.errors import UpstreamUnavailableError
from regroup.json_object import read_object

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
SHAPES: Any = SERVICE.shape_for

CANDIDATE = Candidate(
    name="haiku",
    family="claude",
    model_id="anthropic.claude-haiku-4-5-20251001-v1:0",
    region="ap-northeast-1",
    prices=Prices(input=1, output=5),
    context_tokens=200_000,
    max_output_tokens=8_000,
    tokens_per_char={"latin": 0.25, "cjk": 1, "other": 0.5},
    capabilities=Capabilities(tools=True, forced_tool_choice=True),
    residency="jp",
)
HELLO = ChatRequest(turns=(said("user", "hello"),))
TOOLS = replace(HELLO, tools=(Tool("weather", "", {}), Tool("now", "", {})))
FORM = replace(HELLO, json_schema=JsonSchema("city", {"type": "object"}))

type Event = Mapping[str, object]


def read(events: Iterable[Event], request: ChatRequest = TOOLS) -> list[ChatEvent]:
    return list(chat_events(CANDIDATE, request, events))


def delta(text: object, block: int = 0) -> Event:
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": block}}


def begin(block: object, called: object, name: object) -> Event:
    start = {"toolUse": {"toolUseId": called, "name": name}}
    return {"contentBlockStart": {"start": start, "contentBlockIndex": block}}


def more(block: object, piece: object) -> Event:
    return {
        "contentBlockDelta": {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": block}
    }


def end(block: object) -> Event:
    return {"contentBlockStop": {"contentBlockIndex": block}}


def stop(reason: object) -> Event:
    return {"messageStop": {"stopReason": reason}}


METADATA: Event = {
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


# Text


def test_text_stop_and_usage_come_in_that_order() -> None:
    events: list[Event] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        delta("Hel"),
        delta(""),
        delta("lo"),
        METADATA,
        stop("end_turn"),
    ]

    assert read(events, HELLO) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Stop("stop"),
        Metered(USAGE),
    ]


def test_text_is_handed_on_before_the_stream_ends() -> None:
    answer = chat_events(CANDIDATE, HELLO, iter([delta("first"), delta("second")]))

    assert next(answer) == TextDelta("first")


@pytest.mark.parametrize("cache", [{}, {"cacheReadInputTokens": "many"}])
def test_usage_without_a_cache_is_zero_there(cache: dict[str, object]) -> None:
    bare: dict[str, object] = {"usage": {"inputTokens": 3, "outputTokens": 2, **cache}}

    answer = read([delta("a"), stop("end_turn"), {"metadata": bare}])

    assert answer[-1] == Metered(Usage(input=3, output=2))


STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "stop",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}
"""Of an answer in text alone."""

UNEXPLAINED = {
    "end_turn",
    "tool_use",
    "malformed_model_output",
    "malformed_tool_use",
    "from_the_future",
}


@pytest.mark.parametrize("reason", SHAPES("StopReason").enum)
def test_every_stop_reason_of_the_service_model_is_known(reason: str) -> None:
    assert Stop(STOP_REASONS[reason]) in read([delta("a"), stop(reason), METADATA])  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [*STOP_REASONS, "from_the_future"])
def test_an_answer_without_text_or_tool_needs_a_reason(reason: str) -> None:
    events = [stop(reason), METADATA]

    if reason in UNEXPLAINED:
        with pytest.raises(UpstreamUnavailableError):
            read(events)
    else:
        assert [type(event) for event in read(events)] == [Stop, Metered]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [delta("a")],
        [delta("a"), METADATA],
        [delta("a"), stop("end_turn")],
        [delta("a"), stop(None), METADATA],
        [delta("a"), stop("end_turn"), {"metadata": {"usage": {"inputTokens": "x"}}}],
        [begin(0, "1", "now"), more(0, "{}"), end(0), stop("tool_use")],
    ],
)
def test_a_stream_that_ends_early_is_an_error(events: list[Event]) -> None:
    with pytest.raises(UpstreamUnavailableError):
        read(events)


# Tools


def test_tool_uses_come_as_they_are_written_and_are_counted_apart_from_other_blocks() -> None:
    events = [
        {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}}},
        delta("Let me see.", 1),
        end(1),
        begin(2, "tooluse_1", "weather"),
        more(2, ""),
        more(2, '{"city"'),
        more(2, ': "Oslo"}'),
        end(2),
        begin(3, "tooluse_2", "now"),
        more(3, "{}"),
        end(3),
        stop("tool_use"),
        METADATA,
    ]

    assert read(events) == [
        TextDelta("Let me see."),
        ToolStart(0, "tooluse_1", "weather"),
        ToolDelta(0, '{"city"'),
        ToolDelta(0, ': "Oslo"}'),
        ToolStart(1, "tooluse_2", "now"),
        ToolDelta(1, "{}"),
        Stop("tool_calls"),
        Metered(USAGE),
    ]


def test_blocks_that_come_interleaved_are_told_apart() -> None:
    events = [
        begin(0, "1", "weather"),
        begin(1, "2", "now"),
        more(1, '{"b"'),
        more(0, '{"a": 1}'),
        more(1, ": 2}"),
        stop("tool_use"),
        METADATA,
    ]

    assert fold(read(events)).tool_uses == (
        ToolUse("1", "weather", '{"a": 1}'),
        ToolUse("2", "now", '{"b": 2}'),
    )


@pytest.mark.parametrize(
    "pieces", [[end(0)], [more(0, ""), end(0)], [more(0, " \n"), end(0)], [], [end(0), end(0)]]
)
def test_an_input_of_which_nothing_came_is_the_empty_object(pieces: list[Event]) -> None:
    [use] = fold(read([begin(0, "1", "now"), *pieces, stop("tool_use"), METADATA])).tool_uses

    assert read_object(use.arguments) == {}


@pytest.mark.parametrize("reason", ["max_tokens", "guardrail_intervened"])
def test_an_input_that_was_cut_before_it_began_is_not_the_empty_object(reason: str) -> None:
    answer = fold(read([begin(0, "1", "now"), end(0), stop(reason), METADATA]))
    assert [use.arguments for use in answer.tool_uses] == [""]


@pytest.mark.parametrize("text", ['{"a": ', "[1]", "null", "7", '{"a": NaN}', "{} {}"])
def test_an_input_that_is_no_object_is_an_error(text: str) -> None:
    with pytest.raises(UpstreamUnavailableError):
        read([begin(0, "1", "now"), more(0, text), end(0), stop("tool_use"), METADATA])


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
    ],
)
def test_an_input_may_be_cut_off_for_a_reason(reason: str, expected: str) -> None:
    answer = fold(read([begin(0, "1", "now"), more(0, '{"a'), end(0), stop(reason), METADATA]))

    assert answer.stop_reason == expected
    assert answer.tool_uses == (ToolUse("1", "now", '{"a'),)


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "from_the_future"])
def test_an_answer_that_calls_tools_stops_for_them(reason: str) -> None:
    events = read([begin(0, "1", "now"), end(0), stop(reason), METADATA])

    assert Stop("tool_calls") in events


def test_tools_get_their_own_names_back() -> None:
    request = replace(HELLO, tools=(Tool("get.weather", "", {}), Tool("now", "", {})))
    alias = tool_names(request)["get.weather"]
    assert alias != "get.weather"

    events = read([begin(0, "1", alias), begin(1, "2", "now"), stop("tool_use"), METADATA], request)

    assert [event.name for event in events if isinstance(event, ToolStart)] == [
        "get.weather",
        "now",
    ]


def test_an_id_that_a_model_gives_twice_is_given_once() -> None:
    events = [begin(0, "now", "now"), begin(1, "now", "now"), stop("tool_use"), METADATA]

    assert [use.id for use in fold(read(events)).tool_uses] == ["now", "now_1"]


def test_a_block_that_begins_twice_is_one_tool_use() -> None:
    events = [begin(0, "1", "now"), more(0, "{}"), begin(0, "2", "now"), stop("tool_use"), METADATA]

    assert fold(read(events)).tool_uses == (ToolUse("1", "now", "{}"),)


def test_the_input_of_an_unknown_block_is_left_out() -> None:
    assert read([delta("a"), more(5, "{"), end(5), stop("end_turn"), METADATA]) == [
        TextDelta("a"),
        Stop("stop"),
        Metered(USAGE),
    ]


# A JSON schema by a tool


def test_the_input_of_the_answers_tool_is_the_text() -> None:
    events = [
        delta("I will use the tool."),
        begin(1, "1", "city"),
        more(1, '{"city"'),
        more(1, ': "Oslo"}'),
        end(1),
        begin(2, "2", "city"),
        more(2, "{}"),
        stop("tool_use"),
        METADATA,
    ]

    assert read(events, FORM) == [
        TextDelta('{"city"'),
        TextDelta(': "Oslo"}'),
        Stop("stop"),
        Metered(USAGE),
    ]


def test_an_answer_in_a_tool_may_be_cut_off() -> None:
    events = [begin(0, "1", "city"), more(0, '{"ci'), stop("max_tokens"), METADATA]

    assert fold(read(events, FORM)) == Answer('{"ci', "length", USAGE)


def test_an_answer_beside_its_tool_is_an_error_before_anything_was_handed_on() -> None:
    events = chat_events(CANDIDATE, FORM, [delta("Oslo"), stop("end_turn"), METADATA])

    with pytest.raises(UpstreamUnavailableError):
        next(events)


def test_what_a_guardrail_stops_needs_no_tool() -> None:
    events = [delta("Blocked."), stop("guardrail_intervened"), METADATA]

    assert fold(read(events, FORM)) == Answer("", "content_filter", USAGE)


# Anything


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
blocks = st.integers(0, 3)
alien = st.one_of(
    st.dictionaries(st.text(max_size=5), json_values, max_size=2),
    json_values.map(delta),
    json_values.map(stop),
    st.builds(begin, json_values, json_values, json_values),
    st.builds(more, blocks | json_values, json_values),
    json_values.map(end),
    json_values.map(lambda value: {"metadata": {"usage": value}}),
    json_values.map(
        lambda value: {
            "metadata": {
                "usage": {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": value}
            }
        }
    ),
    st.sampled_from(
        ["contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    ).flatmap(lambda name: json_values.map(lambda value: {name: value})),
    st.just(METADATA),
    st.sampled_from([stop("end_turn"), stop("tool_use"), stop("max_tokens")]),
    st.just(delta("text")),
    st.builds(begin, blocks, st.sampled_from(["1", "2"]), st.just("now")),
    st.builds(more, blocks, st.sampled_from(["{}", '{"a"', ": 1}", "[]"])),
    blocks.map(end),
)


@given(st.lists(alien, max_size=8), st.sampled_from([HELLO, TOOLS, FORM]))
def test_alien_events_end_in_a_well_formed_answer_or_a_typed_error(
    events: list[Event], request: ChatRequest
) -> None:
    seen: list[ChatEvent] = []
    try:
        for event in chat_events(CANDIDATE, request, events):
            seen.append(event)
    except UpstreamUnavailableError:
        assert not any(isinstance(event, Stop | Metered) for event in seen)
        fold(seen)
        return
    *deltas, last_but_one, last = seen
    assert all(isinstance(event, TextDelta | ToolStart | ToolDelta) for event in deltas)
    assert all(event.text for event in deltas if isinstance(event, TextDelta))
    assert isinstance(last_but_one, Stop)
    assert isinstance(last, Metered)
    assert all(isinstance(count, int) for count in (last.usage.input, last.usage.cache_read))
    answer = fold(seen)
    assert request is not FORM or not answer.tool_uses
    if answer.stop_reason not in ("length", "content_filter"):
        assert (answer.stop_reason == "tool_calls") == bool(answer.tool_uses)
        assert all(read_object(use.arguments) is not None for use in answer.tool_uses)
