"""The API as one framework-free function: a request in, status, headers and bytes out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from classifier.ask import PRESETS, Ask
from classifier.feedback import FeedbackService
from classifier.feedback_request import FeedbackRequest
from classifier.problems import describe, headers_of
from classifier.record import AnswerStream
from classifier.service import RouteService
from classifier.strict_json import parse_json
from regroup.domain.budget import NO_LIMITS, Budget
from regroup.domain.chat import fold
from regroup.domain.events import explain
from regroup.domain.fallback import Deadline
from regroup.errors import (
    BadRequestError,
    RegroupError,
    RequestError,
    UnknownModelError,
    UnknownRouteError,
)
from regroup.openai_answer import completion, completion_chunks, error_chunk
from regroup.openai_body import ChatCompletionRequest, RegroupOptions
from regroup.openai_chat import to_chat_request

VIRTUAL_MODEL = "regroup"
VIRTUAL_MODELS = (VIRTUAL_MODEL, *(f"{VIRTUAL_MODEL}-{name}" for name in PRESETS))

_MOST_PLACE_CHARS = 100

_JSON = {"content-type": "application/json"}
_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as far as the API looks at it."""

    method: str
    path: str
    body: bytes
    deadline: Deadline
    key_id: str | None = None
    """Who asks, as the authorizer found out; the key itself never comes this far."""
    budget: Budget = NO_LIMITS
    """What the key may spend in a day, from the authorizer as well."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; its body comes in pieces, and must be read to its end or closed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the API; the OpenAPI document is made from these."""

    method: str
    path: str
    handler: str
    """The method of `Api` that answers."""
    summary: str
    body: type[BaseModel] | None = None
    open: bool = False
    """Needs no key."""


ROUTES = (
    Route("POST", "/v1/chat/completions", "_chat", "Answer a chat", ChatCompletionRequest),
    Route("POST", "/v1/route", "_decide", "Decide, explain, ask no model", ChatCompletionRequest),
    Route("POST", "/v1/feedback", "_feedback", "Judge an answer", FeedbackRequest),
    Route("GET", "/v1/models", "_models", "List the models"),
    Route("GET", "/healthz", "_health", "Say what is live", open=True),
)
_BY_PATH = {route.path: route for route in ROUTES}


@dataclass(frozen=True, slots=True)
class Api:
    """The routes over the services."""

    service: RouteService
    feedback: FeedbackService

    def handle(self, request: Request) -> Response:
        """Answer one request; every error becomes a status, a code and one clear sentence."""
        try:
            route = _route(request)
            answer: Response = getattr(self, route.handler)(request)
        except RegroupError as error:
            return _error_response(error)
        return answer

    def _chat(self, request: Request) -> Response:
        body, ask = self._parse(request)
        stream = self.service.answer(ask, request.deadline)
        decision = stream.decision
        headers = {
            "x-regroup-model": stream.candidate,
            "x-regroup-decision-id": decision.decision_id,
            "x-regroup-cache": decision.cache.value,
            "x-regroup-tried": str(stream.tried),
        }
        completion_id, created = f"chatcmpl-{decision.decision_id}", int(self.service.clock.wall())
        extension = explain(decision) if ask.explain else None
        if body.stream:
            chunks = completion_chunks(
                stream,
                completion_id=completion_id,
                model=stream.candidate,
                created=created,
                include_usage=bool(body.stream_options and body.stream_options.include_usage),
                extension=extension,
            )
            return Response(200, headers | _EVENT_STREAM, _StreamBody(stream, chunks))
        with closing(stream):
            answer = fold(stream)
        content = completion(
            answer,
            completion_id=completion_id,
            model=stream.candidate,
            created=created,
            extension=extension,
        )
        return Response(200, headers | _JSON, iter((content,)))

    def _decide(self, request: Request) -> Response:
        _, ask = self._parse(request)
        return _json_response(200, explain(self.service.decide(ask, request.deadline)))

    def _feedback(self, request: Request) -> Response:
        body = _validated(FeedbackRequest, parse_json(request.body))
        line = self.feedback.judge(body.decision_id, body.score, request.key_id)
        recorded = {"decision_id": line["decision_id"], "reward_score": line["reward_score"]}
        return _json_response(200, {**recorded, "recorded": True})

    def _models(self, _request: Request) -> Response:
        candidates = self.service.decider.catalog.candidates.values()
        owners = [(name, "regroup") for name in VIRTUAL_MODELS]
        owners += [(candidate.name, candidate.family) for candidate in candidates]
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": owner}
            for name, owner in owners
        ]
        return _json_response(200, {"object": "list", "data": models})

    def _health(self, _request: Request) -> Response:
        decider = self.service.decider
        live = decider.releases.current()
        champion = live.champion
        age = None if live.since is None else round(self.service.clock.wall() - live.since)
        return _json_response(
            200,
            {
                "status": "degraded" if decider.releases.is_degraded else "ok",
                "artifact": champion.digest if champion else None,
                "age_seconds": age,
                "routes": champion.manifest.verdict.route if champion else False,
                "challenger": live.challenger.digest if live.challenger else None,
                "mode": live.mode,
                "candidates": list(decider.catalog.names),
            },
        )

    def _parse(self, request: Request) -> tuple[ChatCompletionRequest, Ask]:
        raw = parse_json(request.body)
        body = _validated(ChatCompletionRequest, raw)
        preset, candidate = self._resolve(body.model)
        options = body.regroup or RegroupOptions()
        return body, Ask(
            chat=to_chat_request(body, raw),
            key_id=request.key_id,
            budget=request.budget,
            preset=preset,
            candidate=candidate,
            cost_weight=options.cost_weight,
            candidates=self._known(options.candidates),
            max_cost_usd=options.max_cost_usd,
            residency=options.residency,
            session_id=options.session_id,
            explain=options.explain,
            explore=options.explore,
        )

    def _resolve(self, model: str) -> tuple[str | None, str | None]:
        """Return the preset or the candidate that a model name stands for."""
        if model in VIRTUAL_MODELS:
            return model.removeprefix(VIRTUAL_MODEL).removeprefix("-") or None, None
        if model in self.service.decider.catalog.candidates:
            return None, model
        known = ", ".join([*VIRTUAL_MODELS, *self.service.decider.catalog.names])
        raise UnknownModelError(
            f"There is no such model here; `model` may be one of: {known}.",
            code="model_not_found",
            param="model",
        )

    def _known(self, names: list[str] | None) -> frozenset[str] | None:
        catalog = self.service.decider.catalog
        if names is None:
            return None
        if not set(names) <= set(catalog.names):
            raise UnknownModelError(
                f"`regroup.candidates` may name: {', '.join(catalog.names)}.",
                code="model_not_found",
                param="regroup.candidates",
            )
        return frozenset(names)


def internal_error() -> Response:
    """Return what a caller is told of a mistake of ours: nothing about its cause."""
    return _error_response(RegroupError())


@dataclass(frozen=True, slots=True)
class _StreamBody:
    """The chunks of an answer; one that breaks off ends in an error event.

    Not a generator: closing one that was never begun would skip its `finally`, and so the record.
    """

    stream: AnswerStream
    chunks: Iterator[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self.chunks)
        except RegroupError as error:
            _, body = describe(error)
            return error_chunk(body)

    def close(self) -> None:
        self.stream.close()


def _route(request: Request) -> Route:
    path = request.path.rstrip("/") or "/"
    route = _BY_PATH.get(path)
    if route is None:
        known = ", ".join(f"{one.method} {one.path}" for one in ROUTES)
        raise UnknownRouteError(
            f"There is nothing at this path; there is {known}.", code="unknown_path"
        )
    if request.method != route.method:
        raise UnknownRouteError(f"{path} takes {route.method} only.", code="unknown_method")
    return route


def _validated[Body: BaseModel](kind: type[Body], raw: Mapping[str, object]) -> Body:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error, raw) from error


def _invalid(error: ValidationError, raw: Mapping[str, object]) -> RequestError:
    """Name the first field at fault; the value is not repeated, it may be the prompt."""
    first = error.errors(include_input=False)[0]
    # The name of an unknown field is the caller's own, and may be of any length.
    place = "".join(_places(first["loc"], raw)).removeprefix(".")[:_MOST_PLACE_CHARS]
    sentence = f"`{place}`: {_sentence(first, place)}."
    return BadRequestError(sentence, code="invalid_field", param=place)


def _sentence(error: ErrorDetails, place: str) -> str:
    """Say what is wrong with a field, without the names of our classes."""
    limits = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "must be given"
        case "extra_forbidden" if place.startswith("regroup."):
            return f"there is no such option; there are {', '.join(RegroupOptions.model_fields)}"
        case "extra_forbidden":
            return "there is no such field"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be an object"
        case "too_short":
            return f"must have at least {limits['min_length']}"
        case "too_long":
            return f"may have at most {limits['max_length']}"
        case "string_pattern_mismatch":
            return "is not of the form that such names have"
        case _:
            return error["msg"]


def _places(location: Sequence[int | str], raw: object) -> Iterator[str]:
    """Yield the way to a field without the names of our alternatives that pydantic puts in it."""
    for number, part in enumerate(location):
        # A field that is missing stands at the end of the way.
        is_field = isinstance(raw, dict) and (part in raw or number == len(location) - 1)
        if not is_field and not (isinstance(raw, list) and isinstance(part, int)):
            continue
        raw = _child(raw, part)
        yield f"[{part}]" if isinstance(part, int) else f".{part}"


def _child(raw: object, part: int | str) -> object:
    if isinstance(raw, list) and isinstance(part, int):
        return raw[part]
    return raw.get(part) if isinstance(raw, dict) else None


def _error_response(error: RegroupError) -> Response:
    status, body = describe(error)
    return _json_response(status, body, headers_of(error))


def _json_response(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {**_JSON, **(headers or {})}, iter((content,)))
