"""The API as one framework-free function: a request in, status, headers and bytes out."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from classifier.record import AnswerStream
from classifier.service import PRESETS, Ask, RouteService
from regroup.domain.chat import fold
from regroup.domain.events import explain
from regroup.domain.fallback import Deadline
from regroup.errors import (
    BadRequestError,
    DeadlineError,
    NoAnswerError,
    RegroupError,
    RequestError,
    TooLargeError,
    UnknownModelError,
    UnknownRouteError,
    UnprocessableError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from regroup.openai_chat import (
    ChatCompletionRequest,
    completion,
    completion_chunks,
    error_body,
    error_chunk,
    to_chat_request,
)

MAX_BODY_BYTES = 6 * 1024 * 1024
"""What Lambda accepts in one synchronous event."""

VIRTUAL_MODEL = "regroup"

_MOST_PLACE_CHARS = 100

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escaped half of a surrogate pair; the only way for one to come in UTF-8."""

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


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; its body comes in pieces, and must be read to its end or closed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))


@dataclass(frozen=True, slots=True)
class Api:
    """The routes over one service."""

    service: RouteService

    def handle(self, request: Request) -> Response:
        """Answer one request; every error becomes a status, a code and one clear sentence."""
        try:
            return self._route(request)(request)
        except RegroupError as error:
            return _error_response(error)

    def _route(self, request: Request) -> Callable[[Request], Response]:
        routes: dict[str, tuple[str, Callable[[Request], Response]]] = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/route": ("POST", self._decide),
            "/healthz": ("GET", self._health),
        }
        path = request.path.rstrip("/") or "/"
        if path not in routes:
            known = ", ".join(f"{method} {name}" for name, (method, _) in routes.items())
            raise UnknownRouteError(
                f"There is nothing at this path; there is {known}.", code="unknown_path"
            )
        method, answer = routes[path]
        if request.method != method:
            raise UnknownRouteError(f"{path} takes {method} only.", code="unknown_method")
        return answer

    def _chat(self, request: Request) -> Response:
        body, ask = self._parse(request)
        stream = self.service.answer(ask, request.deadline)
        created = int(self.service.clock.wall())
        headers = {
            "x-regroup-model": stream.candidate,
            "x-regroup-decision-id": stream.decision.decision_id,
            "x-regroup-cache": stream.decision.cache.value,
        }
        completion_id = f"chatcmpl-{stream.decision.decision_id}"
        if body.stream:
            chunks = completion_chunks(
                stream,
                completion_id=completion_id,
                model=stream.candidate,
                created=created,
                include_usage=bool(body.stream_options and body.stream_options.include_usage),
            )
            return Response(200, headers | _EVENT_STREAM, _StreamBody(stream, chunks))
        answer = fold(stream)
        content = completion(
            answer, completion_id=completion_id, model=stream.candidate, created=created
        )
        return Response(200, headers | _JSON, iter((content,)))

    def _decide(self, request: Request) -> Response:
        _, ask = self._parse(request)
        return _json_response(200, explain(self.service.decide(ask)))

    def _health(self, _request: Request) -> Response:
        predictor = self.service.predictor
        return _json_response(
            200,
            {
                "status": "ok",
                "artifact": predictor.digest if predictor else None,
                "routes": predictor.manifest.verdict.route if predictor else False,
                "candidates": list(self.service.catalog.names),
            },
        )

    def _parse(self, request: Request) -> tuple[ChatCompletionRequest, Ask]:
        raw = parse_json(request.body)
        try:
            body = ChatCompletionRequest.model_validate(raw)
        except ValidationError as error:
            raise _invalid(error) from error
        preset, candidate = self._resolve(body.model)
        return body, Ask(
            chat=to_chat_request(body, raw),
            key_id=request.key_id,
            preset=preset,
            candidate=candidate,
            cost_weight=body.regroup.cost_weight,
            explore=body.regroup.explore,
        )

    def _resolve(self, model: str) -> tuple[str | None, str | None]:
        """Return the preset or the candidate that a model name stands for."""
        if model == VIRTUAL_MODEL:
            return None, None
        prefix, _, preset = model.partition("-")
        if prefix == VIRTUAL_MODEL and preset in PRESETS:
            return preset, None
        if model in self.service.catalog.candidates:
            return None, model
        virtual = [VIRTUAL_MODEL, *(f"{VIRTUAL_MODEL}-{name}" for name in PRESETS)]
        known = ", ".join([*virtual, *self.service.catalog.names])
        raise UnknownModelError(
            f"There is no such model here; `model` may be one of: {known}.",
            code="model_not_found",
            param="model",
        )


def internal_error() -> Response:
    """Return what a caller is told of a mistake of ours: nothing about its cause."""
    return _error_response(RegroupError())


def parse_json(body: bytes) -> dict[str, object]:
    """Parse a request body strictly.

    Raises:
        TooLargeError: over the gateway's limit; nothing was parsed.
        UnprocessableError: a lone surrogate, which is no character.
        BadRequestError: empty, not UTF-8, not JSON, not an object, a key twice, NaN, too deep.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(
            f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken.",
            code="request_too_large",
        )
    if not body.strip():
        raise BadRequestError("The body is empty; send a JSON object.", code="empty_body")
    try:
        parsed = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise BadRequestError("The body is nested too deeply.", code="invalid_json") from error
    except ValueError as error:
        raise BadRequestError(_json_sentence(error), code="invalid_json") from error
    if not isinstance(parsed, dict):
        raise BadRequestError("The body must be a JSON object.", code="invalid_json")
    if _SURROGATE.search(body):
        _refuse_lone_surrogates(parsed)
    return parsed


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
            _, body = _describe(error)
            return error_chunk(body)

    def close(self) -> None:
        self.stream.close()


def _refuse_lone_surrogates(parsed: object) -> None:
    """Refuse text that no encoder, digest or table can hold; two escaped halves are a character."""
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnprocessableError(
            "The body holds half of a surrogate pair, which is no character; "
            "send the text as valid Unicode.",
            code="invalid_unicode",
        ) from error


class _NotStrictError(ValueError):
    """What Python's parser would let through; the message is written for the caller."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _NotStrictError("a key stands twice in one object")
    return fields


def _refuse_constant(name: str) -> object:
    raise _NotStrictError(f"{name} is not JSON")


def _json_sentence(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: {error.msg}, line {error.lineno} column {error.colno}."
    if isinstance(error, UnicodeDecodeError):
        return "The body is not UTF-8."
    if isinstance(error, _NotStrictError):
        return f"The body is not JSON: {error}."
    return "The body holds a number with too many digits."


def _invalid(error: ValidationError) -> RequestError:
    """Name the first field at fault; the value is not repeated, it may be the prompt."""
    first = error.errors(include_input=False, include_context=False)[0]
    # The name of an unknown field is the caller's own, and may be of any length.
    place = ".".join(str(part) for part in first["loc"])[:_MOST_PLACE_CHARS]
    return BadRequestError(f"`{place}`: {first['msg']}.", code="invalid_field", param=place)


def _error_response(error: RegroupError) -> Response:
    status, body = _describe(error)
    headers = {}
    if isinstance(error, NoAnswerError):
        headers["retry-after"] = str(error.retry_after_seconds)
    return _json_response(status, body, headers)


def _describe(error: RegroupError) -> tuple[int, dict[str, object]]:
    """Return status and body; sentences are fixed unless they were written for the caller."""
    match error:
        case RequestError():
            body = error_body(str(error), kind=error.kind, code=error.code, param=error.param)
            return error.status, body
        case UpstreamRejectedError():
            sentence, status, code = "The model refused the request as malformed.", 400, "rejected"
        case DeadlineError() | UpstreamTimeoutError():
            sentence, status, code = "No model answered within the time limit.", 504, "timeout"
        case NoAnswerError():
            sentence, status, code = "No model could answer; try again later.", 503, "no_answer"
        case UpstreamError():
            sentence, status, code = "The model's answer broke off.", 503, "answer_broken"
        case _:
            sentence, status, code = "The router failed.", 500, "internal_error"
    kind = "invalid_request_error" if status == 400 else "server_error"
    return status, error_body(sentence, kind=kind, code=code)


def _json_response(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {**_JSON, **(headers or {})}, iter((content,)))
