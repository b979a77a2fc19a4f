"""The OpenAPI document: what API Gateway can import, and what the API really does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from classifier.http import ROUTES, Response, Route
from classifier.openapi import document
from classifier.problems import describe
from classifier.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ErrorAnswer,
    FeedbackAnswer,
    Health,
    ModelList,
    RouteExplanation,
)
from regroup.domain.chat import Metered, Stop, TextDelta, ToolDelta, ToolStart, Usage
from regroup.errors import BudgetExhaustedError, NoAnswerError, RegroupError, RequestError
from tests.local import openapi_file
from tests.local.world import chat_body, small_world

SCHEMA_WORDS = {
    *("type", "description", "enum", "required", "format", "pattern", "default", "nullable"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
    *("properties", "items", "additionalProperties", "allOf", "anyOf", "oneOf", "$ref"),
}
"""The words of a Schema Object that are used here, of those that OpenAPI 3.0.3 has.

https://spec.openapis.org/oas/v3.0.3#schema-object
"""
TYPES = {"object", "array", "string", "number", "integer", "boolean"}
FROM_THE_GATEWAY = {401, 403}
REFERENCE = "#/components/schemas/"

DOCUMENT = document()
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def children(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from schema.get("properties", {}).values()
    for word in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(word, ())
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield schema[word]


def everything_in(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in children(schema):
        yield from everything_in(child)


def all_schemas() -> list[dict[str, Any]]:
    roots = list(DOCUMENT["components"]["schemas"].values())
    for operation in OPERATIONS.values():
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in contents:
            roots += [media["schema"] for media in content.get("content", {}).values()]
            roots += [header["schema"] for header in content.get("headers", {}).values()]
    return [schema for root in roots for schema in everything_in(root)]


def test_the_committed_document_is_the_one_that_the_code_makes() -> None:
    assert openapi_file.is_current(), "run `.venv/bin/python -m tests.local.openapi_file`"


def test_a_file_that_differs_or_is_not_there_is_not_current(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    assert not openapi_file.is_current(file)
    file.write_text(openapi_file.content().replace("REGROUP", "REGROUQ"))
    assert not openapi_file.is_current(file)
    file.write_text(openapi_file.content())
    assert openapi_file.is_current(file)


def test_every_route_is_documented_and_nothing_else() -> None:
    assert set(OPERATIONS) == {(route.method, route.path) for route in ROUTES}


def test_a_route_without_a_described_answer_is_no_document() -> None:
    with pytest.raises(KeyError, match="/v1/unheard-of"):
        document([*ROUTES, Route("GET", "/v1/unheard-of", "_models", "Do more")])


def test_open_routes_need_no_key_and_all_others_do() -> None:
    assert DOCUMENT["security"] == [{"key": []}]
    assert DOCUMENT["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route in ROUTES:
        operation = OPERATIONS[route.method, route.path]
        assert operation.get("security", "as above") == ([] if route.open else "as above")
        assert route.open is not ("401" in operation["responses"])


def test_the_body_of_every_route_is_its_model() -> None:
    for route in ROUTES:
        body = OPERATIONS[route.method, route.path].get("requestBody")
        if route.body is None:
            assert body is None
            continue
        schema = body["content"]["application/json"]["schema"]
        assert body["required"] is True
        assert schema["$ref"] == f"{REFERENCE}{route.body.__name__}"
        named = DOCUMENT["components"]["schemas"][route.body.__name__]
        assert set(named["properties"]) == {
            field.alias or name for name, field in route.body.model_fields.items()
        }


def every_error(kind: type[RegroupError]) -> Iterator[RegroupError]:
    if issubclass(kind, BudgetExhaustedError | NoAnswerError):
        yield kind("x", retry_after_seconds=1)
    else:
        yield kind("x", code="x") if issubclass(kind, RequestError) else kind("x")
    for one in kind.__subclasses__():
        yield from every_error(one)


def test_every_status_of_an_error_is_documented_and_no_other() -> None:
    answered = {describe(error)[0] for error in every_error(RegroupError)}
    for route in ROUTES:
        documented = {int(status) for status in OPERATIONS[route.method, route.path]["responses"]}
        if route.body is not None:
            assert documented == {200} | answered | FROM_THE_GATEWAY
        else:
            assert documented <= {200} | answered | FROM_THE_GATEWAY
            assert {status for status in answered if status >= 500} <= documented


def test_every_error_has_the_shape_of_openai() -> None:
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            if status != "200":
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": f"{REFERENCE}ErrorAnswer"}
                assert ("retry-after" in answer.get("headers", {})) is (status in ("429", "503"))


def test_it_keeps_to_openapi_3_0() -> None:
    assert DOCUMENT["openapi"] == "3.0.3"
    assert DOCUMENT.keys() == {"openapi", "info", "security", "paths", "components"}
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            assert re.fullmatch("[1-5][0-9][0-9]", status)
            assert answer["description"]


def test_every_schema_has_words_of_3_0_alone() -> None:
    schemas = all_schemas()
    assert len(schemas) > 100
    for schema in schemas:
        assert schema.keys() <= SCHEMA_WORDS
        assert schema.get("type", "object") in TYPES
        assert ("items" in schema) is (schema.get("type") == "array")
        for word in ("exclusiveMinimum", "exclusiveMaximum", "nullable"):
            assert isinstance(schema.get(word, True), bool)
        if "exclusiveMinimum" in schema:
            assert "minimum" in schema
        if schema.get("nullable"):
            # Without a type or a reference beside it the word would mean nothing.
            assert "type" in schema or "allOf" in schema
            assert None in schema.get("enum", [None])
        if "$ref" in schema:
            assert schema.keys() == {"$ref"}
            assert schema["$ref"].removeprefix(REFERENCE) in DOCUMENT["components"]["schemas"]


def test_names_are_those_that_api_gateway_takes_and_each_is_used() -> None:
    names = DOCUMENT["components"]["schemas"].keys()
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names)
    used = {schema["$ref"].removeprefix(REFERENCE) for schema in all_schemas() if "$ref" in schema}
    # A chunk is what the text of the stream is made of, and no media type's own schema.
    assert names - used == {"ChatCompletionChunk"}


def test_what_is_not_served_is_not_documented() -> None:
    assert not {"Unserved", "FunctionMessage"} & DOCUMENT["components"]["schemas"].keys()
    assert "function_call" not in json.dumps(DOCUMENT)


def test_null_is_a_word_beside_the_type_and_a_value_beside_the_others() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    options, request = schemas["RegroupOptions"], schemas["ChatCompletionRequest"]
    assert options["additionalProperties"] is False
    assert options["properties"]["max_cost_usd"] == {
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "nullable": True,
        "description": "The most this one answer may cost.",
    }
    assert options["properties"]["residency"]["enum"] == ["jp", "apac", "us", "global", None]
    assert options["properties"]["explore"]["default"] is True
    assert request["properties"]["stop"] == {
        "allOf": [{"$ref": f"{REFERENCE}Stop"}],
        "nullable": True,
    }
    hurdle = schemas["RouteExplanation"]["properties"]["mask"]["additionalProperties"]
    assert (hurdle["type"], hurdle["nullable"], hurdle["enum"][-1]) == ("string", True, None)
    assert schemas["UserMessage"]["properties"]["role"] == {"type": "string", "enum": ["user"]}


class Pair(BaseModel):
    both: tuple[int, str]


def test_a_model_that_3_0_has_no_words_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no word for 'prefixItems'"):
        document([*ROUTES, Route("POST", "/healthz", "_health", "Pair", Pair)])


def read(response: Response) -> bytes:
    assert response.status == 200
    return b"".join(response.body)


def assert_documented(model: type[BaseModel], answer: object) -> None:
    """Every field of an answer is in its model, with such a value."""
    read = model.model_validate(answer)
    assert read.model_dump(mode="json", exclude_unset=True) == answer
    assert not read.model_extra


CALLS = [
    ToolStart(0, "call-1", "weather"),
    ToolDelta(0, '{"city": "Kyoto"}'),
    Stop("tool_calls"),
    Metered(Usage(1, 2)),
]
TALKS = [TextDelta("Good day."), Stop("length"), Metered(Usage(1, 2))]


@pytest.mark.parametrize("steps", [TALKS, CALLS], ids=["text", "tool calls"])
@pytest.mark.parametrize("explain", [True, False])
def test_a_chat_is_answered_as_documented(steps: list[Any], explain: bool) -> None:
    world = small_world()
    world.chat_model.plan("medium", steps, steps)
    asked = chat_body(regroup={"explain": explain})
    whole = json.loads(read(world.handle(asked)))
    assert_documented(ChatCompletion, whole)
    assert ("regroup" in whole) is explain

    streamed = world.handle(asked | {"stream": True, "stream_options": {"include_usage": True}})
    events = read(streamed).decode().removesuffix("\n\n").split("\n\n")
    assert events.pop() == "data: [DONE]"
    for event in events:
        assert_documented(ChatCompletionChunk, json.loads(event.removeprefix("data: ")))
    assert any("usage" in event for event in events)


def test_the_headers_of_a_chat_are_documented() -> None:
    headers = set(small_world().handle(chat_body()).headers) - {"content-type"}
    operation = OPERATIONS["POST", "/v1/chat/completions"]
    assert headers == set(operation["responses"]["200"]["headers"])


@pytest.mark.parametrize("rewards", [{"small": 0.5, "medium": 0.7}, None], ids=["routed", "blind"])
def test_a_decision_is_explained_as_documented(rewards: dict[str, float] | None) -> None:
    answer = json.loads(read(small_world(rewards=rewards).handle(chat_body(), path="/v1/route")))
    assert_documented(RouteExplanation, answer)


def test_a_decision_in_a_conversation_is_explained_as_documented() -> None:
    world = small_world()
    asked = chat_body(regroup={"session_id": "conversation-1"})
    read(world.handle(asked))
    answer = json.loads(read(world.handle(asked, path="/v1/route")))
    assert {"session_model", "switch_rival"} <= answer.keys()
    assert_documented(RouteExplanation, answer)


def test_feedback_is_answered_as_documented() -> None:
    world = small_world()
    made = world.handle(chat_body())
    read(made)
    body = {"decision_id": made.headers["x-regroup-decision-id"], "thumbs": "up"}
    assert_documented(FeedbackAnswer, json.loads(read(world.handle(body, path="/v1/feedback"))))


@pytest.mark.parametrize(
    ("path", "model"), [("/v1/models", ModelList), ("/healthz", Health)], ids=["models", "health"]
)
@pytest.mark.parametrize("rewards", [{"medium": 0.7}, None], ids=["routed", "blind"])
def test_lists_are_answered_as_documented(
    path: str, model: type[BaseModel], rewards: dict[str, float] | None
) -> None:
    world = small_world(rewards=rewards)
    assert_documented(model, json.loads(read(world.handle(b"", method="GET", path=path))))


def test_an_error_is_answered_as_documented() -> None:
    refused = small_world().handle({"messages": []})
    assert refused.status == 400
    assert_documented(ErrorAnswer, json.loads(b"".join(refused.body)))


def test_nothing_that_serves_loads_the_document() -> None:
    code = (
        "import sys, classifier.handler; "
        "sys.exit(any(name in sys.modules for name in ('classifier.openapi', "
        "'classifier.responses')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
