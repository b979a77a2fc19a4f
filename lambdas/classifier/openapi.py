"""The OpenAPI document of the API, made from its routes and its pydantic models.

3.0.3, because API Gateway's import of a REST API takes no 3.1. Of that version's own limits these
are kept to as well: names of schemas hold letters and digits only, and answers are not referred to.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
"""

from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from classifier.http import ROUTES, Route
from classifier.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ErrorAnswer,
    FeedbackAnswer,
    Health,
    ModelList,
    RouteExplanation,
)
from regroup.domain.decision import CacheState

type Schema = dict[str, Any]

OPENAPI_VERSION = "3.0.3"
API_VERSION = "1"

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"
_EVENT_STREAM = "text/event-stream"
_CHAT = "/v1/chat/completions"

_ANSWERS: Mapping[str, type[BaseModel]] = {
    _CHAT: ChatCompletion,
    "/v1/route": RouteExplanation,
    "/v1/feedback": FeedbackAnswer,
    "/v1/models": ModelList,
    "/healthz": Health,
}
_DONE = {
    _CHAT: "The answer, whole or as a stream.",
    "/v1/route": "The decision, and why it fell as it did.",
    "/v1/feedback": "The reward was written down.",
    "/v1/models": "The virtual models and the candidates.",
    "/healthz": "What is live.",
}

_ALWAYS = {
    429: "The key's budget of the day cannot hold the request, or too many requests came.",
    500: "The router failed.",
    503: "No model could answer, or a table did not; `retry-after` says when to try again.",
    504: "No answer came within the time limit.",
}
_WITH_KEY = {401: "No good key came with the request.", 403: "The key may not do this."}
_WITH_BODY = {
    400: "The body is missing, is not strict JSON, or is not what is asked for here.",
    404: "There is no such model or decision.",
    413: "The body is too large.",
    422: "The request is well-formed, but nothing here can serve it.",
}


def document(routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """Return the OpenAPI document; it is the same for the same routes and models.

    Raises:
        KeyError: a route whose answer is not described here.
        ValueError: a model holds what OpenAPI 3.0 has no word for.
    """
    routes = tuple(routes)
    bodies = {route.body for route in routes if route.body is not None}
    answers = {_ANSWERS[route.path] for route in routes}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "REGROUP",
            "version": API_VERSION,
            "description": "A learned router for LLM calls, compatible with OpenAI's clients.",
        },
        "security": [{"key": []}],
        "paths": _paths(routes),
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer rg-...`",
                }
            },
            "schemas": _schemas(bodies | answers | {ErrorAnswer, ChatCompletionChunk}),
        },
    }


def _paths(routes: Iterable[Route]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.strip("_"),
        "summary": f"{route.summary}.",
        "responses": _responses(route),
    }
    if route.open:
        operation["security"] = []
    if route.body is not None:
        content = {_JSON: {"schema": _reference(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {_JSON: {"schema": _reference(_ANSWERS[route.path])}}
    done = {"description": _DONE[route.path], "content": content}
    if route.path == _CHAT:
        content[_EVENT_STREAM] = {"schema": _stream()}
        done["headers"] = _chat_headers()
    problems = _ALWAYS | ({} if route.open else _WITH_KEY) | (_WITH_BODY if route.body else {})
    refused = {str(status): _problem(status, problems[status]) for status in sorted(problems)}
    return {"200": done, **refused}


def _problem(status: int, description: str) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "description": description,
        "content": {_JSON: {"schema": _reference(ErrorAnswer)}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        seconds = {"type": "integer", "minimum": 0}
        problem["headers"] = {"retry-after": _header("Seconds.", seconds)}
    return problem


def _chat_headers() -> dict[str, Any]:
    states = {"type": "string", "enum": [state.value for state in CacheState]}
    text = {"type": "string"}
    return {
        "x-regroup-model": _header("The candidate that answered.", text),
        "x-regroup-decision-id": _header("What feedback names.", text),
        "x-regroup-cache": _header("Where the prediction came from.", states),
        "x-regroup-tried": _header("How many candidates were asked.", {"type": "integer"}),
    }


def _header(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "schema": schema}


def _stream() -> Schema:
    return {
        "type": "string",
        "description": "Server-sent events, each a ChatCompletionChunk after `data: `; the last is "
        "`[DONE]`, or an ErrorAnswer where the answer broke off.",
    }


def _reference(model: type[BaseModel]) -> Schema:
    return {"$ref": f"{_SCHEMAS}{model.__name__}"}


# Pydantic's JSON schema (2020-12) in the words of OpenAPI 3.0


def _schemas(models: Collection[type[BaseModel]]) -> dict[str, Schema]:
    """Return all schemas that the models refer to, by name."""
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=f"{_SCHEMAS}{{model}}"
    )
    definitions: dict[str, Schema] = found["$defs"]
    wanted, schemas = [model.__name__ for model in ordered], dict[str, Schema]()
    while wanted:
        name = wanted.pop()
        if name not in schemas:
            schemas[name] = _convert(definitions[name], definitions)
            wanted += _names(schemas[name])
    return dict(sorted(schemas.items()))


def _names(schema: object) -> list[str]:
    """Return the names of the schemas that one refers to."""
    if isinstance(schema, list):
        return [name for item in schema for name in _names(item)]
    if not isinstance(schema, dict):
        return []
    here = [schema["$ref"].removeprefix(_SCHEMAS)] if isinstance(schema.get("$ref"), str) else []
    return here + _names(list(schema.values()))


_KEPT = frozenset(
    {
        "type",
        "description",
        "enum",
        "required",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
    }
)
_UNIONS = ("anyOf", "oneOf")
_NULL = {"type": "null"}


def _convert(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return a schema in the words of OpenAPI 3.0, the schemas inside it too.

    Raises:
        ValueError: it holds a word that OpenAPI 3.0 does not know.
    """
    core = _core(schema, definitions)
    beside: Schema = {}
    for word in schema:
        if word not in ("$ref", *_UNIONS):
            beside |= _word(word, schema, definitions)
    if "$ref" in core and beside:
        # What stands beside a reference is ignored in 3.0.
        core = {"allOf": [core]}
    return {**core, **beside}


def _core(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return what a schema refers to or chooses between; most do neither."""
    if "$ref" in schema:
        named = definitions[schema["$ref"].removeprefix(_SCHEMAS)]
        # Words stand where they are used: only there can they be joined by null.
        return _convert(named, definitions) if "enum" in named else {"$ref": schema["$ref"]}
    for union in _UNIONS:
        if union in schema:
            return _union(union, schema[union], definitions)
    return {}


def _union(word: str, members: list[Schema], definitions: Mapping[str, Schema]) -> Schema:
    kinds = [_convert(member, definitions) for member in members if member != _NULL]
    schema = kinds[0] if len(kinds) == 1 else {word: kinds}
    if len(kinds) == len(members):
        return schema
    if "$ref" in schema:
        schema = {"allOf": [schema]}
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "nullable": True}


def _word(word: str, schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    value = schema[word]
    if word in _KEPT:
        return {word: value}
    match word:
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {word.removeprefix("exclusive").lower(): value, word: True}
        case "properties":
            return {word: {name: _convert(one, definitions) for name, one in value.items()}}
        case "items" | "additionalProperties":
            return {word: value if isinstance(value, bool) else _convert(value, definitions)}
        case "default" if isinstance(value, str | bool | int | float):
            return {word: value}
        case "title" | "default":
            # Pydantic's titles repeat the name; a default of null is a field left out.
            return {}
        case _:
            raise ValueError(f"OpenAPI 3.0 has no word for {word!r}")
