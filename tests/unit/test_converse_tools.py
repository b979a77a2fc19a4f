"""Tools, images and JSON schemas in Bedrock's terms."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from regroup.domain.catalog import Candidate, Capabilities
from regroup.domain.chat import (
    JsonSchema,
    NamedTool,
    Text,
    Tool,
    Turn,
    said,
)
from regroup.errors import UpstreamIncapableError, UpstreamRejectedError
from tests.local.complaints import complaint
from tests.local.converse_requests import (
    ABLE,
    CANDIDATE,
    NOW,
    PNG,
    PNG_BLOCK,
    SCHEMA,
    WEATHER,
    gave,
    translate,
    use,
)


def test_tools_are_offered_with_description_and_schema() -> None:
    assert translate(ABLE, tools=(WEATHER, NOW))["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "weather",
                    "description": "Tells the weather",
                    "inputSchema": {"json": SCHEMA},
                }
            },
            {
                "toolSpec": {
                    "name": "now",
                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                }
            },
        ]
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", None), ("required", {"any": {}}), (NamedTool("now"), {"tool": {"name": "now"}})],
)
def test_the_choice_of_a_tool_is_bedrocks(choice: object, sent: object) -> None:
    config = translate(ABLE, tools=(WEATHER, NOW), tool_choice=choice)["toolConfig"]

    assert config.get("toolChoice") == sent


def test_uses_and_results_are_sent_as_such_where_tools_are_on_offer() -> None:
    turns = (
        said("user", "weather?"),
        Turn("assistant", (use("1"), Text("Let me see."), use("2", "now", "{}"))),
        Turn("user", (Text("and?"), gave("2"), gave("1", Text(" "), Text("rain"), PNG))),
    )

    messages = translate(ABLE, turns=turns, tools=(WEATHER, NOW))["messages"]

    assert messages[1]["content"] == [
        {"text": "Let me see."},
        {"toolUse": {"toolUseId": "1", "name": "weather", "input": {"city": "Oslo"}}},
        {"toolUse": {"toolUseId": "2", "name": "now", "input": {}}},
    ]
    nothing = {"text": "(The tool gave back nothing.)"}
    assert messages[2]["content"] == [
        {"toolResult": {"toolUseId": "2", "content": [nothing]}},
        {"toolResult": {"toolUseId": "1", "content": [{"text": "rain"}, PNG_BLOCK]}},
        {"text": "and?"},
    ]


@pytest.mark.parametrize("tools", [(), (WEATHER,)], ids=["no tools", "tools but none to be called"])
def test_uses_and_results_are_told_in_words_where_no_tool_may_be_called(
    tools: tuple[Tool, ...],
) -> None:
    turns = (
        said("user", "weather?"),
        Turn("assistant", (use("1"), use("2", "now", "{}"))),
        Turn("user", (gave("2"), gave("1", Text("rain"), PNG), Text("and?"))),
    )

    converse = translate(ABLE, turns=turns, tools=tools, tool_choice="none")

    assert "toolConfig" not in converse
    assert converse["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"text": 'Tool call 1: weather({"city": "Oslo"})'},
                {"text": "Tool call 2: now({})"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"text": "Result of tool call 2 (now):"},
                {"text": "(The tool gave back nothing.)"},
                {"text": "Result of tool call 1 (weather):"},
                {"text": "rain"},
                PNG_BLOCK,
                {"text": "and?"},
            ],
        },
    ]


def test_names_and_ids_that_bedrock_refuses_are_replaced_wherever_they_stand() -> None:
    odd, long = Tool("get.weather", "", {}), Tool("n" * 65, "", {})
    turns = (
        said("user", "hi"),
        Turn("assistant", (use("call/1", "get.weather"), use("fine_2", "gone!", "{}"))),
        Turn("user", (gave("call/1", Text("rain")), gave("fine_2"))),
    )

    converse = translate(ABLE, turns=turns, tools=(odd, long), tool_choice=NamedTool("n" * 65))

    names = [tool["toolSpec"]["name"] for tool in converse["toolConfig"]["tools"]]
    uses = [block["toolUse"] for block in converse["messages"][1]["content"]]
    results = [block["toolResult"] for block in converse["messages"][2]["content"]]
    assert names[0].startswith("get_weather_")
    assert names[1].startswith("nnn")
    assert converse["toolConfig"]["toolChoice"] == {"tool": {"name": names[1]}}
    assert [item["name"] for item in uses] == [names[0], uses[1]["name"]]
    assert uses[0]["toolUseId"].startswith("call_1_")
    assert [item["toolUseId"] for item in results] == [uses[0]["toolUseId"], "fine_2"]
    assert complaint(converse) is None


def test_an_id_used_again_later_gets_another_one() -> None:
    answered = (Turn("assistant", (use("1"),)), Turn("user", (gave("1", Text("rain")),)))

    converse = translate(ABLE, turns=(said("user", "hi"), *answered * 3), tools=(WEATHER,))

    ids = [message["content"][0]["toolUse"]["toolUseId"] for message in converse["messages"][1::2]]
    assert ids[0] == "1"
    assert len(set(ids)) == 3
    assert complaint(converse) is None


def test_a_tool_use_whose_arguments_are_no_object_is_refused() -> None:
    turns = (said("user", "hi"), Turn("assistant", (use("1", arguments="[1]"),)))

    with pytest.raises(UpstreamRejectedError):
        translate(ABLE, turns=turns, tools=(WEATHER,))


def test_images_are_sent_as_bytes_between_the_texts() -> None:
    turns = (Turn("user", (Text("what"), PNG, Text(" "), Text("is it?"))),)

    assert translate(ABLE, turns=turns)["messages"] == [
        {"role": "user", "content": [{"text": "what"}, PNG_BLOCK, {"text": "is it?"}]}
    ]


def test_an_id_that_claude_refuses_is_replaced_wherever_it_stands() -> None:
    turns = (
        said("user", "hi"),
        Turn("assistant", (use("functions.look:0"),)),
        Turn("user", (gave("functions.look:0", Text("rain")),)),
    )
    messages = translate(CANDIDATE, turns=turns, tools=(WEATHER,))["messages"]
    called = messages[1]["content"][0]["toolUse"]["toolUseId"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", called)
    assert messages[2]["content"][0]["toolResult"]["toolUseId"] == called


# JSON schemas


FORM = JsonSchema("city", SCHEMA, "A city")


def test_a_json_schema_is_set_where_the_candidate_has_a_setting() -> None:
    native = replace(CANDIDATE, capabilities=Capabilities(json_schema=True, tools=True))

    converse = translate(native, json_schema=FORM, tools=(WEATHER,))

    text_format = converse["outputConfig"]["textFormat"]
    assert text_format["type"] == "json_schema"
    schema = text_format["structure"]["jsonSchema"]
    assert json.loads(schema.pop("schema")) == SCHEMA
    assert schema == {"name": "city", "description": "A city"}
    assert "toolChoice" not in converse["toolConfig"]


@pytest.mark.parametrize(
    ("form", "name", "description"),
    [
        (FORM, "city", "A city"),
        (JsonSchema("a city", SCHEMA), "a_city_737507f8", "Takes the answer."),
    ],
)
def test_elsewhere_the_answer_is_the_input_of_a_tool_that_must_be_called(
    form: JsonSchema, name: str, description: str
) -> None:
    converse = translate(ABLE, json_schema=form)

    assert "outputConfig" not in converse
    assert converse["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": name,
                    "description": description,
                    "inputSchema": {"json": SCHEMA},
                }
            }
        ],
        "toolChoice": {"tool": {"name": name}},
    }


@pytest.mark.parametrize(
    ("candidate", "changes"),
    [
        (ABLE, {"json_schema": FORM, "tools": (WEATHER,)}),
        (ABLE, {"json_schema": JsonSchema("cities", {"type": "array"})}),
        (CANDIDATE, {"json_schema": FORM}),
    ],
    ids=["tools as well", "no object", "no tool can be forced"],
)
def test_a_form_that_this_candidate_cannot_keep_to_is_left_to_another(
    candidate: Candidate, changes: dict[str, Any]
) -> None:
    with pytest.raises(UpstreamIncapableError):
        translate(candidate, **changes)
