"""OpenAI's words in, the project's own out."""

from typing import Any

import pytest

from regroup.domain.chat import ChatRequest, Turn, Usage, said
from regroup.errors import BadRequestError, UnprocessableError
from regroup.openai_chat import ChatCompletionRequest, to_chat_request, usage_of

USER = {"role": "user", "content": "hi"}
HI = (said("user", "hi"),)


def translate(messages: list[dict[str, Any]], **fields: object) -> ChatRequest:
    raw: dict[str, object] = {"messages": messages, **fields}
    return to_chat_request(ChatCompletionRequest.model_validate(raw), raw)


@pytest.mark.parametrize(
    ("messages", "system", "turns"),
    [
        ([USER], (), HI),
        (
            [
                {"role": "system", "content": "one"},
                USER,
                {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            ],
            ("one", "two"),
            HI,
        ),
        ([{"role": "system", "content": ""}, {"role": "system"}, USER], (), HI),
        (
            [USER, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "more"}],
            (),
            (said("user", "hi"), said("assistant", "yes?"), said("user", "more")),
        ),
        (
            [USER, {"role": "assistant", "content": "It begins"}],
            (),
            (said("user", "hi"), said("assistant", "It begins")),
        ),
        (
            [{"role": "assistant", "content": "first"}, USER],
            (),
            (said("assistant", "first"), said("user", "hi")),
        ),
        ([USER, USER], (), HI * 2),
        ([{**USER, "name": "ann", "a_new_field": 1}], (), HI),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "hel"},
                        {"type": "text"},
                        {"type": "text", "text": None},
                        {"type": "text", "text": "lo"},
                    ],
                }
            ],
            (),
            (said("user", "hello"),),
        ),
        ([{"role": "user", "content": "  日本\n"}], (), (said("user", "  日本\n"),)),
        ([USER, {"role": "assistant"}], (), (said("user", "hi"), said("assistant", ""))),
    ],
    ids=[
        "one turn",
        "system and developer",
        "empty system messages",
        "a conversation",
        "the beginning of an answer",
        "the assistant first",
        "two of one role",
        "unknown fields",
        "parts",
        "white space",
        "an assistant that said nothing",
    ],
)
def test_messages_become_system_texts_and_turns(
    messages: list[dict[str, Any]], system: tuple[str, ...], turns: tuple[Turn, ...]
) -> None:
    assert translate(messages) == ChatRequest(turns=turns, system=system)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ChatRequest(HI)),
        ({"max_tokens": 5}, ChatRequest(HI, max_tokens=5)),
        ({"max_completion_tokens": 6}, ChatRequest(HI, max_tokens=6)),
        ({"max_tokens": 5, "max_completion_tokens": 6}, ChatRequest(HI, max_tokens=6)),
        ({"max_tokens": 5, "max_completion_tokens": None}, ChatRequest(HI, max_tokens=5)),
        ({"temperature": 0}, ChatRequest(HI, temperature=0.0)),
        ({"temperature": 2.0, "top_p": 0.5}, ChatRequest(HI, temperature=2.0, top_p=0.5)),
        ({"stop": "END"}, ChatRequest(HI, stop=("END",))),
        ({"stop": ["a", "b"]}, ChatRequest(HI, stop=("a", "b"))),
        ({"stop": []}, ChatRequest(HI)),
        ({"stop": None}, ChatRequest(HI)),
    ],
)
def test_settings_are_carried_over(fields: dict[str, object], expected: ChatRequest) -> None:
    assert translate([USER], **fields) == expected


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([USER], {"tools": [{}]}, "tools"),
        ([USER], {"functions": [{}]}, "functions"),
        ([USER], {"audio": {"voice": "x"}}, "audio"),
        ([USER], {"modalities": ["text"]}, "modalities"),
        ([USER], {"logprobs": True}, "logprobs"),
        ([USER], {"prediction": {"content": "x"}}, "prediction"),
        ([USER], {"n": 3}, "n"),
        ([USER], {"response_format": {"type": "json_object"}}, "response_format"),
        ([USER, {"role": "tool", "content": "1"}], {}, "messages[1].role"),
        ([{"role": "function", "content": "1"}, USER], {}, "messages[0].role"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], {}, "messages[0].content"),
        ([{"role": "system", "content": [{"type": "image_url"}]}], {}, "messages[0].content"),
    ],
)
def test_what_is_not_served_is_named(
    messages: list[dict[str, Any]], fields: dict[str, object], param: str
) -> None:
    with pytest.raises(UnprocessableError, match="serves text chat only") as caught:
        translate(messages, **fields)
    assert (caught.value.code, caught.value.param) == ("unsupported_feature", param)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "be brief"}],
        [{"role": "assistant", "content": "hi"}],
        [{"role": "user", "content": " \u3000\n"}],
        [{"role": "user", "content": [{"type": "text", "text": ""}]}],
    ],
)
def test_a_conversation_without_user_text_has_nothing_to_answer(
    messages: list[dict[str, Any]],
) -> None:
    with pytest.raises(BadRequestError, match="nothing to answer"):
        translate(messages)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (Usage(), (0, 0, 0, 0)),
        (Usage(input=5, output=7), (5, 7, 12, 0)),
        (Usage(input=5, output=7, cache_read=100, cache_write=10), (115, 7, 122, 100)),
    ],
)
def test_cached_tokens_are_part_of_the_prompts(
    usage: Usage, counts: tuple[int, int, int, int]
) -> None:
    prompt, completion, total, cached = counts
    assert usage_of(usage) == {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
