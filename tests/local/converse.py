"""The shapes of Converse: what a stand-in model is asked, what it answers, and the wire format."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.local import eventstream

type Request = dict[str, Any]
"""A Converse body as it came over the wire."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answers; `reasoning`, if any, comes as a block of its own before the text."""

    text: str
    input_tokens: int
    output_tokens: int
    stop_reason: str = "end_turn"
    reasoning: str = ""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


type Responder = Callable[[str, Request], Reply]
"""A stand-in for all models: (model id, Converse body) -> reply."""


_PIECE = re.compile(r"\s*\S+|\s+$")
_ECHO_CHARS = 80
_CHARS_PER_TOKEN = 4


def echo(model_id: str, request: Request) -> Reply:
    """Say which model answers and repeat the start of the last user text, within maxTokens."""
    asked = next(message for message in reversed(request["messages"]) if message["role"] == "user")
    said = "".join(_texts(asked["content"]))[:_ECHO_CHARS]
    text = f"{model_id} answers: {said}"
    everything = [*_texts(request.get("system", ()))]
    for message in request["messages"]:
        everything += _texts(message["content"])
    room = request.get("inferenceConfig", {}).get("maxTokens", 4096)
    wanted = _tokens(text)
    return Reply(
        text=text[: room * _CHARS_PER_TOKEN],
        input_tokens=_tokens("".join(everything)),
        output_tokens=min(wanted, room),
        stop_reason="end_turn" if wanted <= room else "max_tokens",
    )


def reply_frames(reply: Reply) -> list[bytes]:
    """Return the ConverseStream frames of a reply, one event each."""
    frames = [eventstream.event("messageStart", {"role": "assistant"})]
    deltas: list[list[Mapping[str, object]]] = []
    if reply.reasoning:
        deltas.append([{"reasoningContent": {"text": reply.reasoning}}])
    deltas.append([{"text": piece} for piece in _PIECE.findall(reply.text)])
    for index, block in enumerate(deltas):
        place = {"contentBlockIndex": index}
        frames += [eventstream.event("contentBlockDelta", {"delta": d, **place}) for d in block]
        frames.append(eventstream.event("contentBlockStop", place))
    frames.append(eventstream.event("messageStop", {"stopReason": reply.stop_reason}))
    metadata = {"usage": _usage(reply), "metrics": {"latencyMs": 1}}
    return [*frames, eventstream.event("metadata", metadata)]


def reply_body(reply: Reply) -> bytes:
    """Return the Converse body of a reply."""
    content: list[Mapping[str, object]] = [{"text": reply.text}]
    if reply.reasoning:
        content.insert(0, {"reasoningContent": {"reasoningText": {"text": reply.reasoning}}})
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reply.stop_reason,
        "usage": _usage(reply),
        "metrics": {"latencyMs": 1},
    }
    return json.dumps(body).encode()


def complaint(request: Request) -> str | None:
    """Say what Bedrock would say about the conversation, or None."""
    messages = request.get("messages", [])
    if not messages or messages[0]["role"] != "user":
        return "A conversation must start with a user message. Try again with one."
    roles = [message["role"] for message in messages]
    if any(here == after for here, after in pairwise(roles)):
        return "A conversation must alternate between user and assistant roles."
    contents = [request.get("system", []), *(message["content"] for message in messages)]
    if any(not text.strip() for content in contents for text in _texts(content)):
        return "The text field in the ContentBlock object is blank. Add text and try again."
    return None


def _texts(content: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (block["text"] for block in content if "text" in block)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)


def _usage(reply: Reply) -> dict[str, int]:
    cached = reply.cache_read_tokens + reply.cache_write_tokens
    return {
        "inputTokens": reply.input_tokens,
        "outputTokens": reply.output_tokens,
        "totalTokens": reply.input_tokens + reply.output_tokens + cached,
        "cacheReadInputTokens": reply.cache_read_tokens,
        "cacheWriteInputTokens": reply.cache_write_tokens,
    }
