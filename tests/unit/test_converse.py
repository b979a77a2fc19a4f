"""Chat requests in Bedrock's terms."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from regroup.converse import converse_request
from regroup.domain.catalog import Candidate, Capabilities, Prices, PromptCache
from regroup.domain.chat import (
    DEFAULT_MAX_TOKENS,
    ChatRequest,
    Image,
    JsonSchema,
    NamedTool,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
    said,
)
from regroup.errors import UpstreamIncapableError, UpstreamRejectedError
from tests.local.complaints import complaint

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
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


def translate(candidate: Candidate = CANDIDATE, **changes: Any) -> dict[str, Any]:
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


# Tools


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA)
NOW = Tool("now", " ", {"properties": {}})
ABLE = replace(
    CANDIDATE,
    capabilities=Capabilities(tools=True, forced_tool_choice=True, images=True, prefill=True),
)
PNG = Image("png", b"\x89PNG\r\n\x1a\n...")
PNG_BLOCK = {"image": {"format": "png", "source": {"bytes": PNG.data}}}


def use(called: str, name: str = "weather", arguments: str = '{"city": "Oslo"}') -> ToolUse:
    return ToolUse(called, name, arguments)


def gave(called: str, *content: Text | Image) -> ToolResult:
    return ToolResult(called, content)


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


# Prompt caches


CACHING = replace(
    CANDIDATE,
    family="anthropic",
    capabilities=Capabilities(tools=True, images=True, prompt_cache=PromptCache(100, 300)),
)
"""Caches from 100 tokens on, which are 400 letters."""
POINT = {"cachePoint": {"type": "default"}}
LONG, SHORT = "x" * 400, "x" * 396
ANSWERED = (said("user", "hi"), said("assistant", "yes?"))


def points(converse: Mapping[str, Any]) -> set[str]:
    """Name the places that end in a cache point."""
    places: dict[str, Any] = {
        "tools": converse.get("toolConfig", {}).get("tools", []),
        "system": converse.get("system", []),
    }
    places |= {str(i): message["content"] for i, message in enumerate(converse["messages"])}
    for content in places.values():
        assert POINT not in content[:-1]
    return {name for name, content in places.items() if content[-1:] == [POINT]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"system": (SHORT,)}, set()),
        ({"system": (LONG,)}, {"system"}),
        ({"tools": (replace(WEATHER, description=LONG),)}, {"tools"}),
        ({"system": ("short",), "tools": (replace(WEATHER, description=LONG),)}, {"system"}),
        ({"turns": (said("user", LONG),)}, set()),
        ({"turns": (*ANSWERED, said("user", "hi"))}, set()),
        ({"turns": (*ANSWERED, said("user", LONG))}, {"2"}),
        ({"turns": (*ANSWERED, said("user", SHORT)), "system": ("x" * 20,)}, {"2"}),
        ({"turns": (*ANSWERED, said("user", "hi")), "system": (LONG,)}, {"system", "2"}),
        ({"turns": (*ANSWERED, Turn("user", (PNG,)))}, {"2"}),
        ({"turns": (said("user", "hi"), said("assistant", LONG))}, set()),
        ({"turns": (said("user", LONG), said("assistant", "It"))}, {"0"}),
        (
            {
                "turns": (
                    said("user", "hi"),
                    Turn("assistant", (use("1"),)),
                    Turn("user", (gave("1", Text(LONG)),)),
                ),
                "tools": (WEATHER,),
            },
            {"2"},
        ),
    ],
)
def test_prefixes_that_will_be_repeated_end_in_a_cache_point(
    changes: dict[str, Any], expected: set[str]
) -> None:
    converse = translate(CACHING, **changes)

    assert points(converse) == expected
    assert complaint(converse) is None
    assert points(translate(ABLE, **changes)) == set()


def test_where_a_provider_takes_no_cache_point_there_is_none() -> None:
    nova = replace(CACHING, family="amazon")
    long_tool = replace(WEATHER, description=LONG)
    results = (
        said("user", "hi"),
        Turn("assistant", (use("1"),)),
        Turn("user", (gave("1", Text(LONG)),)),
    )
    for candidate, places in ((nova, set()), (CACHING, {"tools", "2"})):
        converse = translate(candidate, turns=results, tools=(long_tool,))
        assert points(converse) == places
    more = (*results[:2], Turn("user", (gave("1", Text(LONG)), Text("and now?"))))
    assert points(translate(nova, turns=more, tools=(WEATHER,))) == {"2"}


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
