"""The shape of a request: what pydantic takes, refuses and says of itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from regroup.openai_body import ChatCompletionRequest, RegroupOptions
from tests.local.openai_requests import USER, call, calls, function


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
