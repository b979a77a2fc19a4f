"""The shapes of Converse: what a stand-in model is asked, what it answers, and the wire format."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.local import eventstream

type Request = dict[str, Any]
"""A Converse body as it came over the wire."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called."""

    id: str
    name: str
    input: Mapping[str, Any]


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
    tool_calls: tuple[ToolCall, ...] = ()


type Responder = Callable[[str, Request], Reply]
"""A stand-in for all models: (model id, Converse body) -> reply."""


_PIECE = re.compile(r"\s*\S+|\s+$")
_INPUT_PIECE = re.compile(r".{1,7}", re.DOTALL)
_ECHO_CHARS = 80
_CHARS_PER_TOKEN = 4

_EXAMPLES: Mapping[str, Any] = {
    "string": "text",
    "number": 1.5,
    "integer": 1,
    "boolean": True,
    "null": None,
}


def echo(model_id: str, request: Request) -> Reply:
    """Answer from the request alone, so that clients can be tried with all they may send.

    Offered tools that the user names are called; else the answer says who gives it and repeats
    what the user or the tools said, within maxTokens. Images are counted, and a JSON schema is
    filled with the simplest values that fit.
    """
    asked = next(message for message in reversed(request["messages"]) if message["role"] == "user")
    calls = tuple(_calls(request, asked["content"]))
    text = "" if calls else _text(model_id, request, asked["content"])
    room = request.get("inferenceConfig", {}).get("maxTokens", 4096)
    wanted = _tokens(text + "".join(json.dumps(call.input) for call in calls))
    stop_reason = "end_turn" if wanted <= room else "max_tokens"
    return Reply(
        text=text[: room * _CHARS_PER_TOKEN],
        input_tokens=_tokens("".join(_everything(request))),
        output_tokens=min(wanted, room),
        stop_reason="tool_use" if calls else stop_reason,
        tool_calls=calls,
    )


def example_of(schema: Mapping[str, Any]) -> Any:
    """Return the simplest value that fits a JSON schema without references."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0])
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    match kinds if isinstance(kinds, str) else kinds[0]:
        case "object":
            known = schema.get("properties", {})
            return {name: example_of(known.get(name, {})) for name in schema.get("required", ())}
        case "array":
            return [example_of(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
        case kind:
            return schema.get("minimum", _EXAMPLES.get(kind, "text"))


def reply_events(reply: Reply) -> list[dict[str, Any]]:
    """Return the ConverseStream events of a reply, as botocore parses them."""
    events: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
    for index, (start, deltas) in enumerate(_blocks(reply)):
        place = {"contentBlockIndex": index}
        if start is not None:
            events.append({"contentBlockStart": {"start": start, **place}})
        events += [{"contentBlockDelta": {"delta": delta, **place}} for delta in deltas]
        events.append({"contentBlockStop": place})
    events.append({"messageStop": {"stopReason": reply.stop_reason}})
    return [*events, {"metadata": {"usage": _usage(reply), "metrics": {"latencyMs": 1}}}]


def reply_frames(reply: Reply) -> list[bytes]:
    """Return the ConverseStream frames of a reply, one event each."""
    return [
        eventstream.event(name, payload)
        for event in reply_events(reply)
        for name, payload in event.items()
    ]


def reply_body(reply: Reply) -> bytes:
    """Return the Converse body of a reply."""
    content: list[Mapping[str, object]] = []
    if reply.reasoning:
        content.append({"reasoningContent": {"reasoningText": {"text": reply.reasoning}}})
    if reply.text or not reply.tool_calls:
        content.append({"text": reply.text})
    content += [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.input}}
        for call in reply.tool_calls
    ]
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reply.stop_reason,
        "usage": _usage(reply),
        "metrics": {"latencyMs": 1},
    }
    return json.dumps(body).encode()


def texts_of(content: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the texts of a message or of the system, tool results left out."""
    return (block["text"] for block in content if "text" in block)


def members(content: Iterable[Mapping[str, Any]], kind: str) -> list[Any]:
    """Return the blocks of one kind: `toolUse`, `toolResult`, `image`, `cachePoint`."""
    return [block[kind] for block in content if kind in block]


def _blocks(
    reply: Reply,
) -> Iterator[tuple[Mapping[str, Any] | None, list[Mapping[str, Any]]]]:
    """Yield each block's start, which only tool uses have, and its deltas."""
    if reply.reasoning:
        yield None, [{"reasoningContent": {"text": reply.reasoning}}]
    if reply.text or not reply.tool_calls:
        yield None, [{"text": piece} for piece in _PIECE.findall(reply.text)]
    for call in reply.tool_calls:
        # An input without properties comes in no piece at all.
        pieces = _INPUT_PIECE.findall(json.dumps(call.input)) if call.input else []
        start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
        yield start, [{"toolUse": {"input": piece}} for piece in pieces]


def _calls(request: Request, content: Sequence[Mapping[str, Any]]) -> Iterator[ToolCall]:
    """Yield a call of the tool that must be called, or of each that the user's words name."""
    config = request.get("toolConfig")
    if config is None or members(content, "toolResult"):
        return
    tools = members(config["tools"], "toolSpec")
    said = " ".join(texts_of(content))
    wanted = [tool for tool in tools if re.search(rf"(?<![\w-]){tool['name']}(?![\w-])", said)]
    match config.get("toolChoice"):
        case {"tool": {"name": name}}:
            wanted = [tool for tool in tools if tool["name"] == name]
        case {"any": _}:
            wanted = wanted or tools[:1]
    before = sum(len(members(message["content"], "toolUse")) for message in request["messages"])
    for number, tool in enumerate(wanted, before + 1):
        example = example_of({"type": "object", **tool["inputSchema"]["json"]})
        filled = example if isinstance(example, dict) else {}
        yield ToolCall(f"tooluse_{number}", tool["name"], filled)


def _text(model_id: str, request: Request, content: Sequence[Mapping[str, Any]]) -> str:
    form = request.get("outputConfig", {}).get("textFormat")
    if form is not None:
        return json.dumps(example_of(json.loads(form["structure"]["jsonSchema"]["schema"])))
    results = members(content, "toolResult")
    images = members(content, "image")
    for result in results:
        images += members(result["content"], "image")
    said = "; ".join("".join(texts_of(result["content"])) for result in results)
    text = f"{model_id} answers: {said or ''.join(texts_of(content))[:_ECHO_CHARS]}"
    if images:
        sizes = ", ".join(str(len(b64decode(image["source"]["bytes"]))) for image in images)
        text += f" (images: {len(images)}, bytes: {sizes})"
    return text


def _everything(request: Request) -> Iterator[str]:
    yield from texts_of(request.get("system", ()))
    for message in request["messages"]:
        yield from texts_of(message["content"])
        for result in members(message["content"], "toolResult"):
            yield from texts_of(result["content"])


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
