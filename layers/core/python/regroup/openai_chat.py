"""OpenAI's chat completion requests in the project's own terms; pure translation."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from regroup.domain.chat import (
    Block,
    ChatRequest,
    Image,
    ImageFormat,
    JsonSchema,
    NamedTool,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from regroup.errors import BadRequestError, UnprocessableError
from regroup.json_object import read_object
from regroup.openai_body import (
    AssistantMessage,
    ChatCompletionRequest,
    Content,
    FunctionChoice,
    FunctionMessage,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    Part,
    SystemMessage,
    TextPart,
    ToolMessage,
    Unserved,
    UserMessage,
)

JSON_OBJECT_SENTENCE = "Answer with a single JSON object and nothing else."
"""What a request for an object of any form becomes: no candidate has a setting for it."""

_UNSERVED_FIELDS = ("functions", "function_call", "audio", "logprobs", "prediction")
_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}

_MOST_ID_CHARS = 64
_MOST_KIND_CHARS = 32

_IMAGE_TYPES: Mapping[str, ImageFormat] = {
    "png": "png",
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "gif": "gif",
    "webp": "webp",
}
_DATA_URLS = {f"data:image/{name};base64": form for name, form in _IMAGE_TYPES.items()}


def to_chat_request(body: ChatCompletionRequest, raw: Mapping[str, object]) -> ChatRequest:
    """Translate a request.

    Args:
        body: the validated body.
        raw: the body as it came, to find features that are not served.

    Raises:
        UnprocessableError: it uses a feature that is not served, named in the message.
        BadRequestError: the messages cannot be a conversation, or contradict the tools.
    """
    _refuse_unserved(body, raw)
    conversation = _Conversation()
    for index, message in enumerate(body.messages):
        conversation.add(message, f"messages[{index}]")
    turns = conversation.end()
    if not any(_asks(turn) for turn in turns):
        raise BadRequestError(
            "There is nothing to answer: no user message holds text or an image.",
            code="empty_prompt",
            param="messages",
        )
    tools = tuple(_tools(body))
    system, json_schema = conversation.system, None
    match body.response_format:
        case JsonObjectFormat():
            system.append(JSON_OBJECT_SENTENCE)
        case JsonSchemaFormat(json_schema=asked):
            json_schema = JsonSchema(asked.name, asked.schema_, asked.description)
        case Unserved(type=kind):
            raise _unserved(f"a `response_format` {_kind(kind)}", "response_format")
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return ChatRequest(
        turns=turns,
        system=tuple(text for text in system if text),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=tuple(text for text in stop if text.strip()),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        json_schema=json_schema,
    )


@dataclass(slots=True)
class _Conversation:
    """Messages become turns: results of tools open the user turn that follows their calls."""

    system: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    unanswered: tuple[ToolUse, ...] = ()
    """The last assistant message's calls."""
    results: dict[str, ToolResult] = field(default_factory=dict)
    """What answers them, by id."""

    def add(self, message: Message, place: str) -> None:
        """Take the next message; `place` names it in errors."""
        match message:
            case SystemMessage():
                self.system.append(_text_of(message.content, f"{place}.content"))
            case UserMessage():
                said = tuple(_blocks(message.content, f"{place}.content"))
                self._say("user", (*self._take_results(), *said))
            case AssistantMessage():
                self._add_answer(message, place)
            case ToolMessage():
                self._add_result(message, place)
            case FunctionMessage():
                raise _unserved("messages of role function", f"{place}.role")
            case _:
                assert_never(message)

    def end(self) -> tuple[Turn, ...]:
        """Return the turns."""
        self._flush_results()
        # A chat's empty last bubble is no beginning of an answer.
        while self.turns and self.turns[-1].role == "assistant" and _is_blank(self.turns[-1]):
            self.turns.pop()
        return tuple(self.turns)

    def _add_answer(self, message: AssistantMessage, place: str) -> None:
        if message.function_call is not None:
            raise _unserved("`function_call`", f"{place}.function_call")
        text = _text_of(message.content, f"{place}.content")
        uses = tuple(_tool_uses(message, f"{place}.tool_calls"))
        self._flush_results()
        self._say("assistant", (Text(text), *uses) if text else uses)
        self.unanswered = uses

    def _add_result(self, message: ToolMessage, place: str) -> None:
        called, param = message.tool_call_id, f"{place}.tool_call_id"
        if called in self.results:
            raise _bad_call(called, "is answered twice", param)
        if all(use.id != called for use in self.unanswered):
            raise _bad_call(called, "is no call of the assistant message before it", param)
        content = tuple(_blocks(message.content, f"{place}.content"))
        self.results[called] = ToolResult(called, content)

    def _flush_results(self) -> None:
        results = self._take_results()
        if results:
            self._say("user", results)

    def _take_results(self) -> tuple[ToolResult, ...]:
        """Return the results of the last calls, of which none may be left out."""
        for use in self.unanswered:
            if use.id not in self.results:
                raise _bad_call(use.id, "has no tool message that answers it", "messages")
        results = tuple(self.results.values())
        self.unanswered, self.results = (), {}
        return results

    def _say(self, role: Role, blocks: tuple[Block, ...]) -> None:
        self.turns.append(Turn(role, blocks or (Text(""),)))


def _is_blank(turn: Turn) -> bool:
    return not turn.text.strip() and all(isinstance(block, Text) for block in turn.content)


def _asks(turn: Turn) -> bool:
    """Tell whether there is something to answer in what the user said."""
    return turn.role == "user" and (
        bool(turn.text.strip()) or any(not isinstance(block, Text) for block in turn.content)
    )


def _blocks(content: Content | None, place: str) -> Iterator[Text | Image]:
    """Yield texts and images in their order, texts that touch joined, empty ones left out."""
    texts: list[str] = []
    for part in _parts(content):
        match part:
            case TextPart():
                texts.append(part.text or "")
                continue
            case Unserved():
                raise _unserved(f"content parts {_kind(part.type)}", place)
        if any(texts):
            yield Text("".join(texts))
        texts = []
        yield _image(part.image_url.url, place)
    if any(texts):
        yield Text("".join(texts))


def _text_of(content: Content | None, place: str) -> str:
    """Return the text of a message that holds nothing else."""
    texts: list[str] = []
    for part in _parts(content):
        if not isinstance(part, TextPart):
            raise _unserved(f"content parts {_kind(part.type)} in such a message", place)
        texts.append(part.text or "")
    return "".join(texts)


def _parts(content: Content | None) -> Sequence[Part]:
    if content is None or isinstance(content, str):
        return [TextPart(type="text", text=content)]
    return content


def _image(url: str, place: str) -> Image:
    """Decode a data URL; what it says it is must be what its bytes are."""
    head, _, encoded = url.partition(",")
    if head[:8].lower().startswith(("http://", "https://")):
        raise UnprocessableError(
            "Images are not fetched from elsewhere; send the image itself as a data URL, "
            "`data:image/png;base64,...`.",
            code="remote_image",
            param=place,
        )
    declared = _DATA_URLS.get(head.lower())
    if declared is None:
        raise _bad_image("is no data URL of a png, jpeg, gif or webp in base64", place)
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise _bad_image("is not valid base64", place) from error
    if _format_of(data) != declared:
        raise _bad_image(f"is declared as {declared}, but its bytes are no {declared}", place)
    return Image(declared, data)


def _format_of(data: bytes) -> ImageFormat | None:
    """Tell the format of a file by its first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _tool_uses(message: AssistantMessage, place: str) -> Iterator[ToolUse]:
    seen: set[str] = set()
    for call in message.tool_calls or ():
        if isinstance(call, Unserved):
            raise _unserved(f"tool calls {_kind(call.type)}", place)
        if call.id in seen:
            raise _bad_call(call.id, "stands twice in one message", place)
        seen.add(call.id)
        arguments = call.function.arguments.strip()
        if arguments == "null":  # what some clients write for none
            arguments = ""
        if arguments and read_object(arguments) is None:
            raise _bad_call(call.id, "has arguments that are not the JSON of an object", place)
        yield ToolUse(call.id, call.function.name, arguments or "{}")


def _tools(body: ChatCompletionRequest) -> Iterator[Tool]:
    seen: set[str] = set()
    for index, tool in enumerate(body.tools or ()):
        if isinstance(tool, Unserved):
            raise _unserved(f"tools {_kind(tool.type)}", f"tools[{index}].type")
        function = tool.function
        if function.name in seen:
            raise _bad_tools("Two tools have one name.", f"tools[{index}].function.name")
        seen.add(function.name)
        yield Tool(function.name, function.description or "", function.parameters or _NO_PARAMETERS)


def _tool_choice(body: ChatCompletionRequest, tools: Iterable[Tool]) -> ToolChoice:
    match body.tool_choice:
        case None:
            return "auto"
        case Unserved(type=kind):
            raise _unserved(f"a `tool_choice` {_kind(kind)}", "tool_choice")
        case FunctionChoice(function=chosen):
            if all(tool.name != chosen.name for tool in tools):
                raise _bad_tools("`tool_choice` names none of the `tools`.", "tool_choice")
            return NamedTool(chosen.name)
        case "required" if not body.tools:
            raise _bad_tools("A tool is required, but there are no `tools`.", "tool_choice")
        case word:
            return word


def _refuse_unserved(body: ChatCompletionRequest, raw: Mapping[str, object]) -> None:
    for feature in _UNSERVED_FIELDS:
        if raw.get(feature):
            raise _unserved(f"`{feature}`", feature)
    if raw.get("modalities") not in (None, [], ["text"]):
        raise _unserved("`modalities` other than text", "modalities")
    if body.n not in (None, 1):
        raise _unserved("`n` other than 1", "n")


def _kind(kind: str) -> str:
    return f"of type {kind[:_MOST_KIND_CHARS]!r}"


def _unserved(feature: str, param: str) -> UnprocessableError:
    return UnprocessableError(
        f"Not served here: {feature}.", code="unsupported_feature", param=param
    )


def _bad_image(what: str, param: str) -> BadRequestError:
    return BadRequestError(f"An image {what}.", code="invalid_image", param=param)


def _bad_call(called: str, what: str, param: str) -> BadRequestError:
    """Name a call by its id, never by what it holds."""
    return BadRequestError(
        f"The tool call {called[:_MOST_ID_CHARS]!r} {what}.", code="invalid_tool_call", param=param
    )


def _bad_tools(sentence: str, param: str) -> BadRequestError:
    return BadRequestError(sentence, code="invalid_tools", param=param)
