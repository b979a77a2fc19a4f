"""One chat request and its answer, in the project's own terms (neither OpenAI's nor Bedrock's)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

type Role = Literal["user", "assistant"]
type StopReason = Literal["stop", "length", "tool_calls", "content_filter"]
type ImageFormat = Literal["png", "jpeg", "gif", "webp"]

DEFAULT_MAX_TOKENS = 4096
"""The output cap of a request that names none: no call may run up an open bill."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, as the bytes of its file."""

    format: ImageFormat
    data: bytes


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The assistant's wish to have a tool called."""

    id: str
    name: str
    arguments: str
    """JSON text of an object, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the `ToolUse` of this id."""

    id: str
    content: tuple[Text | Image, ...]


type Block = Text | Image | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. Images and tool results are the user's, tool uses the assistant's."""

    role: Role
    content: tuple[Block, ...]

    @property
    def text(self) -> str:
        """What was said in words; tool uses and results are none."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


def said(role: Role, text: str) -> Turn:
    """Return a turn of text alone."""
    return Turn(role, (Text(text),))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may wish to have called."""

    name: str
    description: str
    parameters: Mapping[str, object]
    """JSON schema of its arguments, an object."""


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The choice of the one tool that must be called."""

    name: str


type ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The form that an answer must have."""

    name: str
    schema: Mapping[str, object]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is sent to whichever candidate is chosen."""

    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    json_schema: JsonSchema | None = None

    @property
    def offers_tools(self) -> bool:
        """Whether the answer may call a tool."""
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def is_continued(self) -> bool:
        """Whether the assistant spoke before: not the first request of a conversation."""
        return any(turn.role == "assistant" for turn in self.turns)

    def blocks(self) -> Iterator[Block]:
        """Yield all that was said, tool results unpacked after themselves."""
        for turn in self.turns:
            for block in turn.content:
                yield block
                if isinstance(block, ToolResult):
                    yield from block.content


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the provider counted them. `input` excludes the cached ones."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A wish for a tool begins; `index` counts the answer's wishes from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """The next piece of a wish's arguments, which are JSON once joined."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the answer ended."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Metered:
    """What the call used; comes last."""

    usage: Usage


type ChatEvent = TextDelta | ToolStart | ToolDelta | Stop | Metered
"""A stream is (TextDelta | ToolStart | ToolDelta)..., Stop, Metered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the fold of a stream."""

    text: str
    stop_reason: StopReason
    usage: Usage
    tool_uses: tuple[ToolUse, ...] = ()


def fold(events: Iterable[ChatEvent]) -> Answer:
    """Join a stream into one answer."""
    pieces: list[str] = []
    begun: dict[int, ToolStart] = {}
    arguments: dict[int, list[str]] = {}
    reason: StopReason = "stop"
    usage = Usage()
    for event in events:
        match event:
            case TextDelta(text):
                pieces.append(text)
            case ToolStart(index):
                begun[index] = event
                arguments[index] = []
            case ToolDelta(index, more):
                arguments[index].append(more)
            case Stop(stop_reason):
                reason = stop_reason
            case Metered(metered):
                usage = metered
    uses = tuple(
        ToolUse(start.id, start.name, "".join(arguments[index])) for index, start in begun.items()
    )
    return Answer("".join(pieces), reason, usage, uses)
