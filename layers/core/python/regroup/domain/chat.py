"""One chat request and its answer, in the project's own terms (neither OpenAI's nor Bedrock's)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

type Role = Literal["user", "assistant"]
type StopReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is sent to whichever candidate is chosen."""

    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the provider counted them. `input` excludes the cached ones."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the answer ended."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Metered:
    """What the call used; comes last."""

    usage: Usage


type ChatEvent = TextDelta | Stop | Metered
"""A stream is TextDelta..., Stop, Metered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the fold of a stream."""

    text: str
    stop_reason: StopReason
    usage: Usage


def fold(events: Iterable[ChatEvent]) -> Answer:
    """Join a stream into one answer."""
    pieces: list[str] = []
    reason: StopReason = "stop"
    usage = Usage()
    for event in events:
        match event:
            case TextDelta(text):
                pieces.append(text)
            case Stop(stop_reason):
                reason = stop_reason
            case Metered(metered):
                usage = metered
    return Answer("".join(pieces), reason, usage)
