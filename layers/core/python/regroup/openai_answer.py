"""Answers and errors as OpenAI's clients read them; pure translation."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from regroup.domain.chat import (
    Answer,
    ChatEvent,
    Metered,
    Stop,
    TextDelta,
    ToolDelta,
    ToolStart,
    ToolUse,
    Usage,
)

EXTENSION = "regroup"
"""The key of what an answer says beyond OpenAI's fields."""


def completion(
    answer: Answer,
    *,
    completion_id: str,
    model: str,
    created: int,
    extension: Mapping[str, object] | None = None,
) -> bytes:
    """Return a whole answer as a `chat.completion` object.

    Args:
        answer: what the model said and which tools it wishes to have called.
        completion_id: `chatcmpl-...`
        model: the candidate that answered.
        created: seconds since 1970.
        extension: what else the answer should say, under `regroup`.
    """
    message: dict[str, object] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_uses:
        message["content"] = answer.text or None
        message["tool_calls"] = [_tool_call(use) for use in answer.tool_uses]
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
            **_extended(extension),
        }
    )


def completion_chunks(
    events: Iterator[ChatEvent],
    *,
    completion_id: str,
    model: str,
    created: int,
    include_usage: bool,
    extension: Mapping[str, object] | None = None,
) -> Iterator[bytes]:
    """Yield an answer as server-sent `chat.completion.chunk` events, `[DONE]` last.

    Each wish for a tool begins with its id and name; pieces of its arguments follow. `extension`
    goes into the first chunk.
    """
    head = {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
    }

    def chunk(delta: dict[str, object], reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**head, "choices": [choice]}

    first = next(events, None)
    content = None if isinstance(first, ToolStart) else ""
    opening = chunk({"role": "assistant", "content": content})
    yield _server_sent({**opening, **_extended(extension)})
    for event in chain(() if first is None else (first,), events):
        match event:
            case TextDelta(text):
                yield _server_sent(chunk({"content": text}))
            case ToolStart() | ToolDelta():
                yield _server_sent(chunk({"tool_calls": [_tool_piece(event)]}))
            case Stop(reason):
                yield _server_sent(chunk({}, reason))
            case Metered(usage) if include_usage:
                yield _server_sent({**head, "choices": [], "usage": usage_of(usage)})
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


def _tool_call(use: ToolUse) -> dict[str, object]:
    function = {"name": use.name, "arguments": use.arguments}
    return {"id": use.id, "type": "function", "function": function}


def _tool_piece(event: ToolStart | ToolDelta) -> dict[str, object]:
    if isinstance(event, ToolStart):
        return {"index": event.index, **_tool_call(ToolUse(event.id, event.name, ""))}
    return {"index": event.index, "function": {"arguments": event.arguments}}


def _extended(extension: Mapping[str, object] | None) -> dict[str, object]:
    return {} if extension is None else {EXTENSION: dict(extension)}


def _server_sent(body: Mapping[str, object]) -> bytes:
    return b"data: " + _dump(body) + b"\n\n"


def _dump(body: Mapping[str, object]) -> bytes:
    """Write JSON in UTF-8; half a surrogate pair, cut between two deltas, stays an escape."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
