"""OpenAI's tools, calls and results in the project's own terms."""

from typing import Any

import pytest

from regroup.domain.chat import (
    NamedTool,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from regroup.errors import BadRequestError
from tests.local.openai_requests import (
    FILES,
    HI,
    PNG,
    USER,
    call,
    calls,
    data_url,
    function,
    picture,
    refusal,
    result,
    translate,
)


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


@pytest.mark.parametrize("arguments", ["", " ", "null", " null\n", "{}", " {} "])
def test_no_arguments_have_many_spellings(arguments: str) -> None:
    messages: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "tool_calls": [call("a", arguments=arguments)]},
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ]
    [used] = [block for block in translate(messages).blocks() if isinstance(block, ToolUse)]
    assert used.arguments == "{}"
