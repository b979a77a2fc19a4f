"""OpenAI's messages, images and settings in the project's own terms."""

from typing import Any

import pytest

from regroup.domain.chat import (
    ChatRequest,
    Image,
    ImageFormat,
    JsonSchema,
    Text,
    Turn,
    said,
)
from regroup.errors import BadRequestError, UnprocessableError
from regroup.openai_chat import JSON_OBJECT_SENTENCE
from tests.local.openai_requests import (
    FILES,
    HI,
    PNG,
    USER,
    calls,
    data_url,
    picture,
    refusal,
    translate,
)

# Messages


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
        ([USER, {"role": "assistant"}], (), (said("user", "hi"),)),
        (
            [USER, {"role": "assistant", "content": " \n"}, {"role": "assistant", "content": ""}],
            (),
            (said("user", "hi"),),
        ),
        (
            [USER, {"role": "assistant", "content": ""}, USER],
            (),
            (said("user", "hi"), said("assistant", ""), said("user", "hi")),
        ),
        (
            [USER, {"role": "assistant", "content": "a", "refusal": None, "function_call": None}],
            (),
            (said("user", "hi"), said("assistant", "a")),
        ),
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
        "an assistant that said nothing twice",
        "an assistant that said nothing in between",
        "an answer as the SDK gives it",
    ],
)
def test_messages_become_system_texts_and_turns(
    messages: list[dict[str, Any]], system: tuple[str, ...], turns: tuple[Turn, ...]
) -> None:
    assert translate(messages) == ChatRequest(turns=turns, system=system)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "be brief"}],
        [{"role": "assistant", "content": "hi"}],
        [{"role": "user", "content": " \u3000\n"}],
        [{"role": "user", "content": [{"type": "text", "text": ""}]}],
        [{"role": "user"}],
    ],
)
def test_a_conversation_without_anything_of_the_users_has_nothing_to_answer(
    messages: list[dict[str, Any]],
) -> None:
    error = refusal(messages)

    assert isinstance(error, BadRequestError)
    assert (error.code, error.param) == ("empty_prompt", "messages")


# Images


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("png", "png"),
        ("jpeg", "jpeg"),
        ("jpg", "jpeg"),
        ("gif", "gif"),
        ("webp", "webp"),
        ("PNG", "png"),
    ],
)
def test_a_data_url_is_the_picture_itself(kind: str, form: ImageFormat) -> None:
    message = {"role": "user", "content": [picture(data_url(FILES[form], kind))]}

    assert translate([message]).turns == (Turn("user", (Image(form, FILES[form]),)),)


def test_texts_and_pictures_keep_their_order() -> None:
    parts = [
        {"type": "text", "text": "be"},
        {"type": "text", "text": "fore"},
        picture(data_url(FILES["png"])),
        {"type": "text", "text": ""},
        picture(data_url(FILES["gif"], "gif")),
        {"type": "text", "text": "after"},
    ]

    [turn] = translate([{"role": "user", "content": parts}]).turns

    assert turn.content == (Text("before"), PNG, Image("gif", FILES["gif"]), Text("after"))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/cat.png", "remote_image"),
        ("HTTP://example.com/cat.png?a=,b", "remote_image"),
        ("", "invalid_image"),
        ("cat.png", "invalid_image"),
        ("s3://bucket/cat.png", "invalid_image"),
        (data_url(b"<svg/>", "svg+xml"), "invalid_image"),
        ("data:image/png," + "aGk=", "invalid_image"),
        ("data:image/png;base64", "invalid_image"),
        ("data:image/png;base64,", "invalid_image"),
        ("data:image/png;base64,####", "invalid_image"),
        (data_url(FILES["png"]) + "\n", "invalid_image"),
        (data_url(FILES["png"]).rstrip("="), "invalid_image"),
        (data_url(FILES["png"], "jpeg"), "invalid_image"),
        (data_url(FILES["jpeg"], "png"), "invalid_image"),
        (data_url(b"RIFF\x10\x00\x00\x00WAVE", "webp"), "invalid_image"),
        (data_url(b"GIF88a", "gif"), "invalid_image"),
    ],
)
def test_what_is_no_picture_is_refused_without_repeating_it(url: str, code: str) -> None:
    error = refusal([USER, {"role": "user", "content": [picture(url)]}])

    assert (error.code, error.param) == (code, "messages[1].content")
    assert error.status == (422 if code == "remote_image" else 400)
    assert len(str(error)) < 120


def test_a_remote_picture_is_refused_with_what_to_do_instead() -> None:
    assert "data URL" in str(refusal([{"role": "user", "content": [picture("http://a/b.png")]}]))


# Settings


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
        ({"stop": ["a", "", " ", "b"]}, ChatRequest(HI, stop=("a", "b"))),
        ({"stop": ""}, ChatRequest(HI)),
        ({"stop": []}, ChatRequest(HI)),
        ({"stop": None}, ChatRequest(HI)),
        ({"n": 1, "user": "ann", "metadata": {"a": "b"}, "seed": 7}, ChatRequest(HI)),
        ({"modalities": ["text"], "logprobs": False, "audio": None}, ChatRequest(HI)),
        ({"functions": [], "tools": None, "tool_choice": None}, ChatRequest(HI)),
        ({"response_format": None}, ChatRequest(HI)),
        ({"response_format": {"type": "text"}}, ChatRequest(HI)),
        ({"response_format": {"type": "json_object"}}, ChatRequest(HI, (JSON_OBJECT_SENTENCE,))),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
                }
            },
            ChatRequest(HI, json_schema=JsonSchema("city", {"type": "object"})),
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "city", "schema": {}, "description": "A city"},
                }
            },
            ChatRequest(HI, json_schema=JsonSchema("city", {}, "A city")),
        ),
    ],
)
def test_settings_are_carried_over(fields: dict[str, object], expected: ChatRequest) -> None:
    assert translate([USER], **fields) == expected


@pytest.mark.parametrize(
    ("messages", "fields", "param", "named"),
    [
        ([USER], {"functions": [{}]}, "functions", "functions"),
        ([USER], {"function_call": "auto"}, "function_call", "function_call"),
        ([USER], {"audio": {"voice": "x"}}, "audio", "audio"),
        ([USER], {"modalities": ["text", "audio"]}, "modalities", "modalities"),
        ([USER], {"modalities": "audio"}, "modalities", "modalities"),
        ([USER], {"logprobs": True}, "logprobs", "logprobs"),
        ([USER], {"prediction": {"content": "x"}}, "prediction", "prediction"),
        ([USER], {"n": 3}, "n", "`n`"),
        ([USER], {"tools": [{"type": "custom"}]}, "tools[0].type", "'custom'"),
        ([USER], {"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "'allowed_tools'"),
        ([USER], {"response_format": {"type": "grammar"}}, "response_format", "'grammar'"),
        ([{"role": "function", "content": "1"}, USER], {}, "messages[0].role", "function"),
        (
            [USER, {"role": "assistant", "function_call": {"name": "f"}}],
            {},
            "messages[1].function_call",
            "function_call",
        ),
        ([USER, calls({"id": "1", "type": "custom"})], {}, "messages[1].tool_calls", "'custom'"),
        (
            [{"role": "user", "content": [{"type": "input_audio"}]}],
            {},
            "messages[0].content",
            "'input_audio'",
        ),
        (
            [{"role": "user", "content": [{"type": "x" * 5_000}]}],
            {},
            "messages[0].content",
            f"'{'x' * 32}'",
        ),
        (
            [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
            {},
            "messages[1].content",
            "'refusal'",
        ),
        (
            [{"role": "system", "content": [picture(data_url(FILES["png"]))]}],
            {},
            "messages[0].content",
            "'image_url'",
        ),
        (
            [{"role": "assistant", "content": [picture(data_url(FILES["png"]))]}],
            {},
            "messages[0].content",
            "'image_url'",
        ),
    ],
)
def test_what_is_not_served_is_named(
    messages: list[dict[str, Any]], fields: dict[str, object], param: str, named: str
) -> None:
    error = refusal(messages, **fields)

    assert isinstance(error, UnprocessableError)
    assert (error.code, error.param) == ("unsupported_feature", param)
    assert named in str(error)
    assert len(str(error)) < 120
