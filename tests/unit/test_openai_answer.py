"""Answers in OpenAI's words, whole and in chunks."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.chat import (
    Answer,
    ChatEvent,
    Metered,
    Stop,
    TextDelta,
    ToolDelta,
    ToolStart,
    ToolUse,
    Usage,
    fold,
)
from regroup.openai_answer import completion, completion_chunks, error_body, error_chunk, usage_of

USAGE = Usage(input=5, output=7, cache_read=100, cache_write=10)
END: list[ChatEvent] = [Stop("tool_calls"), Metered(USAGE)]
CALLS: list[ChatEvent] = [
    ToolStart(0, "call_1", "weather"),
    ToolDelta(0, '{"city"'),
    ToolDelta(0, ': "Oslo"}'),
    ToolStart(1, "call_2", "now"),
    ToolDelta(1, "{}"),
]


def whole(answer: Answer, extension: Mapping[str, object] | None = None) -> Any:
    return json.loads(
        completion(
            answer, completion_id="chatcmpl-1", model="haiku", created=7, extension=extension
        )
    )


def chunks(
    events: list[ChatEvent],
    *,
    include_usage: bool = True,
    extension: Mapping[str, object] | None = None,
) -> list[Any]:
    sent = b"".join(
        completion_chunks(
            iter(events),
            completion_id="chatcmpl-1",
            model="haiku",
            created=7,
            include_usage=include_usage,
            extension=extension,
        )
    )
    *lines, done, nothing = sent.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def deltas(events: list[ChatEvent]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(events) if chunk["choices"]]


def test_a_whole_answer_is_a_chat_completion() -> None:
    assert whole(Answer("日本", "length", USAGE)) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "haiku",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "日本", "refusal": None},
                "finish_reason": "length",
                "logprobs": None,
            }
        ],
        "usage": usage_of(USAGE),
    }


@pytest.mark.parametrize(("text", "content"), [("", None), ("Let me see.", "Let me see.")])
def test_tool_uses_are_tool_calls(text: str, content: str | None) -> None:
    uses = (ToolUse("call_1", "weather", '{"city": "Oslo"}'), ToolUse("call_2", "now", "{}"))

    [choice] = whole(Answer(text, "tool_calls", USAGE, uses))["choices"]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == content
    assert choice["message"]["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
        },
        {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]


def test_an_answer_without_text_or_tool_keeps_an_empty_text() -> None:
    [choice] = whole(Answer("", "content_filter", USAGE))["choices"]

    assert choice["message"] == {"role": "assistant", "content": "", "refusal": None}


def test_text_comes_in_chunks() -> None:
    events: list[ChatEvent] = [TextDelta("Good "), TextDelta("day"), Stop("stop"), Metered(USAGE)]

    answer = chunks(events)

    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "haiku",
    }
    assert all(chunk.items() >= head.items() for chunk in answer)
    assert deltas(events) == [
        {"role": "assistant", "content": ""},
        {"content": "Good "},
        {"content": "day"},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in answer[:-1]] == [None, None, None, "stop"]
    assert answer[-1] == {**head, "choices": [], "usage": usage_of(USAGE)}


def test_usage_is_sent_only_where_it_is_asked_for() -> None:
    assert all("usage" not in chunk for chunk in chunks([*CALLS, *END], include_usage=False))


def test_a_tool_call_begins_with_id_and_name_and_goes_on_with_arguments() -> None:
    assert deltas([*CALLS, *END]) == [
        {"role": "assistant", "content": None},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ': "Oslo"}'}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "call_2",
                    "type": "function",
                    "function": {"name": "now", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]


@pytest.mark.parametrize("extension", [{"reason": "best"}, {}])
def test_what_else_is_said_comes_under_the_projects_own_key(extension: dict[str, object]) -> None:
    first, *others = chunks([*CALLS, *END], extension=extension)

    assert whole(Answer("a", "stop", USAGE), extension)["regroup"] == extension
    assert first["regroup"] == extension
    assert all("regroup" not in chunk for chunk in others)


def test_without_an_extension_there_is_no_such_key() -> None:
    assert "regroup" not in whole(Answer("a", "stop", USAGE))
    assert all("regroup" not in chunk for chunk in chunks([*CALLS, *END]))


def test_a_stream_without_events_still_ends() -> None:
    assert [chunk["choices"][0]["delta"]["role"] for chunk in chunks([])] == ["assistant"]


half = st.sampled_from(["\ud83d", "\ude00", "a\ud83d", "\ude00b", "\ud83d\ude00"])


@given(st.lists(half | st.text(min_size=1), max_size=4))
def test_any_text_a_model_may_send_arrives(texts: list[str]) -> None:
    """Half a surrogate pair too, which a model's tokens can leave at the end of a delta."""
    events: list[ChatEvent] = [*map(TextDelta, texts), Stop("stop"), Metered(USAGE)]

    streamed = [delta.get("content", "") for delta in deltas(events)]

    assert [text for text in streamed if text] == [json.loads(json.dumps(text)) for text in texts]
    [choice] = whole(fold(events))["choices"]
    assert choice["message"]["content"] == json.loads(json.dumps("".join(texts)))


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (Usage(), (0, 0, 0, 0)),
        (Usage(input=5, output=7), (5, 7, 12, 0)),
        (USAGE, (115, 7, 122, 100)),
    ],
)
def test_cached_tokens_are_part_of_the_prompts(
    usage: Usage, counts: tuple[int, int, int, int]
) -> None:
    prompt, completion_tokens, total, cached = counts
    assert usage_of(usage) == {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def test_an_error_has_openais_shape_in_a_stream_too() -> None:
    body = error_body("It broke.", kind="server_error", code="broken")

    assert body == {
        "error": {"message": "It broke.", "type": "server_error", "code": "broken", "param": None}
    }
    assert json.loads(error_chunk(body).removeprefix(b"data: ")) == body
