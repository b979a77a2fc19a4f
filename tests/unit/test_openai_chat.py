"""OpenAI's requests in the project's own words."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from regroup.domain.chat import (
    ChatRequest,
    Image,
    ImageFormat,
    JsonSchema,
    NamedTool,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
    said,
)
from regroup.errors import BadRequestError, RequestError, UnprocessableError
from regroup.openai_body import ChatCompletionRequest, RegroupOptions
from regroup.openai_chat import JSON_OBJECT_SENTENCE, to_chat_request

USER = {"role": "user", "content": "hi"}
HI = (said("user", "hi"),)

FILES: dict[ImageFormat, bytes] = {
    "png": b"\x89PNG\r\n\x1a\n and pixels",
    "jpeg": b"\xff\xd8\xff and pixels",
    "gif": b"GIF89a and pixels",
    "webp": b"RIFF\x10\x00\x00\x00WEBP and pixels",
}
PNG = Image("png", FILES["png"])


def translate(messages: list[dict[str, Any]], **fields: object) -> ChatRequest:
    raw: dict[str, object] = {"messages": messages, **fields}
    return to_chat_request(ChatCompletionRequest.model_validate(raw), raw)


def refusal(messages: list[dict[str, Any]], **fields: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translate(messages, **fields)
    return caught.value


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def call(name: str, called: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {
        "id": called,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def calls(*tool_calls: dict[str, Any], content: object = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(tool_calls)}


def result(called: str, content: object = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": called, "content": content}


def function(name: str, **fields: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


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


# Tools


def test_tools_are_carried_over() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        function("weather", description="Tells the weather", parameters=parameters, strict=True),
        function("now"),
        function("later", description=None, parameters=None),
        function("never", parameters={}),
    ]
    nothing = {"type": "object", "properties": {}}

    request = translate([USER], tools=tools, parallel_tool_calls=False)

    assert request.tools == (
        Tool("weather", "Tells the weather", parameters),
        Tool("now", "", nothing),
        Tool("later", "", nothing),
        Tool("never", "", nothing),
    )
    assert request.tool_choice == "auto"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (function("now"), NamedTool("now")),
    ],
)
def test_the_choice_of_a_tool_is_carried_over(choice: object, expected: object) -> None:
    assert translate([USER], tools=[function("now")], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_that_asks_for_no_tool_needs_none(choice: str) -> None:
    assert not translate([USER], tools=[], tool_choice=choice).offers_tools


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [function("a"), function("b"), function("a")]}, "tools[2].function.name"),
        ({"tools": [function("a")], "tool_choice": function("b")}, "tool_choice"),
        ({"tool_choice": function("b")}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ],
)
def test_tools_that_contradict_themselves_are_refused(
    fields: dict[str, object], param: str
) -> None:
    error = refusal([USER], **fields)

    assert isinstance(error, BadRequestError)
    assert (error.code, error.param) == ("invalid_tools", param)


WEATHER = call("weather", "call_1", '{"city": "Oslo"}')
USE = ToolUse("call_1", "weather", '{"city": "Oslo"}')


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        (
            [calls(WEATHER), result("call_1")],
            [Turn("assistant", (USE,)), Turn("user", (ToolResult("call_1", (Text("done"),)),))],
        ),
        (
            [calls(WEATHER, content="Let me see."), result("call_1", "")],
            [
                Turn("assistant", (Text("Let me see."), USE)),
                Turn("user", (ToolResult("call_1", ()),)),
            ],
        ),
        (
            [
                calls(call("a", "1", ""), {"id": "2", "function": {"name": "b"}}),
                result("2", [{"type": "text", "text": "B"}, picture(data_url(FILES["png"]))]),
                {"role": "system", "content": ""},
                result("1", None),
                USER,
                USER,
            ],
            [
                Turn("assistant", (ToolUse("1", "a", "{}"), ToolUse("2", "b", "{}"))),
                Turn("user", (ToolResult("2", (Text("B"), PNG)), ToolResult("1", ()), Text("hi"))),
                *HI,
            ],
        ),
        (
            [calls(WEATHER), result("call_1"), calls(WEATHER), result("call_1")],
            [Turn("assistant", (USE,)), Turn("user", (ToolResult("call_1", (Text("done"),)),))] * 2,
        ),
    ],
    ids=["one call", "text beside it", "calls in parallel", "an id used again"],
)
def test_tool_calls_and_their_results_become_turns(
    messages: list[dict[str, Any]], turns: list[Turn]
) -> None:
    assert translate([USER, *messages]).turns == (*HI, *turns)


def test_the_result_of_a_tool_alone_can_be_answered() -> None:
    assert translate([calls(WEATHER), result("call_1", "")]).turns[-1].role == "user"


LONG = "x" * 5_000


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([result("call_1")], "messages[0].tool_call_id"),
        ([calls(WEATHER), result("2")], "messages[1].tool_call_id"),
        ([calls(WEATHER), result("call_1"), result("call_1")], "messages[2].tool_call_id"),
        ([calls(WEATHER), result("call_1"), USER, result("call_1")], "messages[3].tool_call_id"),
        ([calls(WEATHER)], "messages"),
        ([calls(WEATHER), USER], "messages"),
        ([calls(WEATHER), {"role": "assistant", "content": "a"}], "messages"),
        ([calls(WEATHER), USER, result("call_1")], "messages"),
        ([calls(WEATHER, call("b", "2")), result("call_1"), USER], "messages"),
        ([calls(WEATHER, WEATHER), result("call_1")], "messages[0].tool_calls"),
        ([calls(call("a", LONG))], "messages"),
        ([calls(call("a", "1", "secret"))], "messages[0].tool_calls"),
        ([calls(call("a", "1", '["secret"]'))], "messages[0].tool_calls"),
        ([calls(call("a", "1", '{"secret": NaN}'))], "messages[0].tool_calls"),
        ([calls(call("a", "1", '{"secret": 1e999}'))], "messages[0].tool_calls"),
        ([calls(call("a", "1", '{"secret": "\\ud800"}'))], "messages[0].tool_calls"),
        ([calls(call("a", "1", '{"secret": ' * 101 + "1" + "}" * 101))], "messages[0].tool_calls"),
        (
            [calls(call("a", "1", '{"secret": ' * 9**6 + "1" + "}" * 9**6))],
            "messages[0].tool_calls",
        ),
        ([calls(call("a", "1", '{"secret": ' + "1" * 5_000 + "}"))], "messages[0].tool_calls"),
    ],
)
def test_calls_and_results_that_do_not_match_are_refused_by_id(
    messages: list[dict[str, Any]], param: str
) -> None:
    error = refusal(messages)

    assert isinstance(error, BadRequestError)
    assert (error.code, error.param) == ("invalid_tool_call", param)
    assert "secret" not in str(error)
    assert len(str(error)) < 150


def test_the_id_at_fault_is_named() -> None:
    assert "'call_1'" in str(refusal([calls(WEATHER, call("b", "2")), result("2"), USER]))
    assert f"'{LONG[:64]}'" in str(refusal([result(LONG)]))


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


# The body


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [{"role": "x" * 500}]},
        {"messages": [{"role": ["user"]}]},
        {"messages": [5]},
        {"messages": [{"role": "tool", "content": "1"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [5]}]},
        {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        {"messages": [calls(call("", "1"))]},
        {"messages": [calls(call("a", ""))]},
        {"tools": [{}]},
        {"tools": [function("")]},
        {"tools": [function("a", parameters=[])]},
        {"tools": [function("a", parameters={"a": float("inf")})]},
        {"tool_choice": "any"},
        {"tool_choice": 5},
        {"stop": ["a"] * 5},
        {"stop": 5},
        {"response_format": "json"},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
        {"max_tokens": 0},
        {"temperature": float("nan")},
        {"user": 5},
    ],
)
def test_a_body_of_another_shape_is_refused_in_a_short_sentence(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatCompletionRequest.model_validate({"messages": [USER], **fields})

    assert all(len(error["msg"]) < 100 for error in caught.value.errors())


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({}, True),
        ({"cost_weight": 0, "candidates": ["haiku"], "max_cost_usd": 0.01}, True),
        ({"residency": "jp", "session_id": "s" * 128, "explain": True, "explore": False}, True),
        (dict.fromkeys(("cost_weight", "candidates", "max_cost_usd", "residency")), True),
        ({"candidates": ["a"] * 32}, True),
        ({"candidates": ["a"] * 33}, False),
        ({"candidates": []}, False),
        ({"cost_weight": -1}, False),
        ({"cost_weight": float("inf")}, False),
        ({"max_cost_usd": 0}, False),
        ({"max_cost_usd": float("inf")}, False),
        ({"residency": "eu"}, False),
        ({"session_id": ""}, False),
        ({"session_id": "s" * 129}, False),
        ({"prefer": "haiku"}, False),
    ],
)
def test_the_routers_options_are_checked(options: dict[str, Any], fits: bool) -> None:
    if fits:
        RegroupOptions.model_validate(options)
    else:
        with pytest.raises(ValidationError):
            RegroupOptions.model_validate(options)


def test_the_json_schema_of_the_body_names_what_is_served_and_nothing_else() -> None:
    schema = ChatCompletionRequest.model_json_schema()
    names = set(schema["$defs"])

    assert {"UserMessage", "ToolMessage", "ImagePart", "FunctionTool", "ToolCall"} <= names
    assert {"Unserved", "FunctionMessage"}.isdisjoint(names)
    assert schema["required"] == ["messages"]
    assert len(schema["$defs"]["Message"]["oneOf"]) == 4
    assert set(schema["$defs"]["RegroupOptions"]["properties"]) == {
        "cost_weight",
        "candidates",
        "max_cost_usd",
        "residency",
        "session_id",
        "explain",
        "explore",
    }


@pytest.mark.parametrize("arguments", ["", " ", "null", " null\n", "{}", " {} "])
def test_no_arguments_have_many_spellings(arguments: str) -> None:
    messages: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "tool_calls": [call("a", arguments=arguments)]},
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ]
    [used] = [block for block in translate(messages).blocks() if isinstance(block, ToolUse)]
    assert used.arguments == "{}"
