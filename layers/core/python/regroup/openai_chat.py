"""OpenAI's chat completions in and out of the project's own terms; pure translation."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regroup.domain.chat import (
    Answer,
    ChatEvent,
    ChatRequest,
    Metered,
    Stop,
    TextDelta,
    Turn,
    Usage,
    said,
)
from regroup.errors import BadRequestError, UnprocessableError

type Finite = Annotated[float, Field(allow_inf_nan=False)]

_SYSTEM_ROLES = ("system", "developer")
_UNSUPPORTED = ("tools", "functions", "audio", "modalities", "logprobs", "prediction")


class _Lenient(BaseModel):
    """Clients send fields of newer versions of the API; those not known here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(_Lenient):
    """A piece of a message."""

    type: str
    text: str | None = None


class Message(_Lenient):
    """What one side said."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None


class StreamOptions(_Lenient):
    """What a stream should hold besides the answer."""

    include_usage: bool = False


class ResponseFormat(_Lenient):
    """The form the answer must have."""

    type: str = "text"


class RegroupOptions(BaseModel):
    """What a request may ask of the router; unknown fields are refused, as a person wrote them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    explore: bool = True


class ChatCompletionRequest(_Lenient):
    """The body of `POST /v1/chat/completions`."""

    model: str = "regroup"
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Finite, Field(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    regroup: RegroupOptions = RegroupOptions()


def to_chat_request(body: ChatCompletionRequest, raw: Mapping[str, object]) -> ChatRequest:
    """Translate a request whose messages are text.

    Args:
        body: the validated body.
        raw: the body as it came, to find features that are not served.

    Raises:
        UnprocessableError: it uses a feature that is not served, named in the message.
        BadRequestError: the messages cannot be a conversation.
    """
    _refuse_unserved(body, raw)
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(body.messages):
        text = _text_of(message, f"messages[{index}]")
        if message.role in _SYSTEM_ROLES:
            system.append(text)
        elif message.role == "user":
            turns.append(said("user", text))
        elif message.role == "assistant":
            turns.append(said("assistant", text))
        else:
            raise _unserved("tool messages", f"messages[{index}].role")
    if not any(turn.role == "user" and turn.text.strip() for turn in turns):
        raise BadRequestError(
            "There is nothing to answer: no user message holds text.",
            code="empty_prompt",
            param="messages",
        )
    return ChatRequest(
        turns=tuple(turns),
        system=tuple(text for text in system if text),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
    )


def completion(answer: Answer, *, completion_id: str, model: str, created: int) -> bytes:
    """Return a whole answer as a `chat.completion` object."""
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": answer.stop_reason,
        "logprobs": None,
    }
    return _dump(
        {
            "id": completion_id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [choice],
            "usage": usage_of(answer.usage),
        }
    )


def completion_chunks(
    events: Iterator[ChatEvent],
    *,
    completion_id: str,
    model: str,
    created: int,
    include_usage: bool,
) -> Iterator[bytes]:
    """Yield an answer as server-sent `chat.completion.chunk` events, `[DONE]` last."""
    head = {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
    }

    def chunk(delta: dict[str, object], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _server_sent({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for event in events:
        match event:
            case TextDelta(text):
                yield chunk({"content": text})
            case Stop(reason):
                yield chunk({}, reason)
            case Metered(usage) if include_usage:
                yield _server_sent({**head, "choices": [], "usage": usage_of(usage)})
            case _:
                pass
    yield b"data: [DONE]\n\n"


def error_chunk(body: Mapping[str, object]) -> bytes:
    """Return an error as the last server-sent event of a stream that broke."""
    return _server_sent(body)


def usage_of(usage: Usage) -> dict[str, object]:
    """Return token counts as OpenAI words them: cached ones are part of the prompt's."""
    prompt = usage.input + usage.cache_read + usage.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
    }


def error_body(message: str, *, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def _refuse_unserved(body: ChatCompletionRequest, raw: Mapping[str, object]) -> None:
    for feature in _UNSUPPORTED:
        if raw.get(feature):
            raise _unserved(f"`{feature}`", feature)
    if body.n not in (None, 1):
        raise _unserved("more than one choice (`n`)", "n")
    if body.response_format is not None and body.response_format.type != "text":
        raise _unserved("a `response_format` other than text", "response_format")


def _text_of(message: Message, place: str) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.type != "text":
            raise _unserved(f"content parts of type {part.type[:32]!r}", f"{place}.content")
    return "".join(part.text or "" for part in message.content)


def _unserved(feature: str, param: str) -> UnprocessableError:
    return UnprocessableError(
        f"This version serves text chat only; {feature} cannot be used.",
        code="unsupported_feature",
        param=param,
    )


def _server_sent(body: Mapping[str, object]) -> bytes:
    return b"data: " + _dump(body) + b"\n\n"


def _dump(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
