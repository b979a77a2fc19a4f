"""Bedrock's events in the project's own terms; pure translation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from regroup.converse import answers_by_tool
from regroup.converse_turns import tool_names
from regroup.domain.catalog import Candidate
from regroup.domain.chat import (
    ChatEvent,
    ChatRequest,
    Metered,
    Stop,
    StopReason,
    TextDelta,
    ToolDelta,
    ToolStart,
    Usage,
)
from regroup.errors import UpstreamUnavailableError
from regroup.json_object import read_object

_STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_SAYS_NOTHING = ("end_turn", "tool_use")
"""Reasons that do not explain why an answer is empty."""

_CUT: tuple[StopReason, ...] = ("length", "content_filter")
"""An answer may end inside the input of a tool for these."""


def chat_events(
    candidate: Candidate, request: ChatRequest, events: Iterable[Mapping[str, object]]
) -> Iterator[ChatEvent]:
    """Yield Bedrock's events in our terms: text and tool uses as they come, `Stop`, `Metered`.

    Blocks are told by their type: reasoning comes first where a model thinks, and is left out.

    Args:
        candidate: who answers.
        request: what was asked; tools get the names back that it gives them.
        events: of one ConverseStream, as botocore parses them.

    Raises:
        UpstreamUnavailableError: the stream ended early, the answer is empty without a reason, or
            the input of a tool is no JSON object.
    """
    answer = _Answer(candidate.name, {alias: name for name, alias in tool_names(request).items()})
    if answers_by_tool(candidate, request):
        yield from _answer_in_tool(candidate.name, answer.read(events))
    else:
        yield from answer.read(events)


@dataclass(slots=True)
class _Answer:
    """What came of an answer so far."""

    candidate: str
    names: Mapping[str, str]
    """The request's names of tools by Bedrock's."""
    inputs: dict[int, list[str]] = field(default_factory=dict)
    """The pieces of each tool use's input, by the index of its block."""
    ids: set[str] = field(default_factory=set)
    spoke: bool = False
    reason: str | None = None
    usage: Usage | None = None

    def read(self, events: Iterable[Mapping[str, object]]) -> Iterator[ChatEvent]:
        """Yield a stream from its first event to its last."""
        for event in events:
            yield from self._take(event)
        if self.reason is None or self.usage is None:
            raise self._error("the answer ended early")
        reason = self._stop_reason(self.reason)
        if reason not in _CUT:
            # An input that was cut before it began is not an empty one.
            for block in self.inputs:
                yield from self._close(block)
        whole = (read_object("".join(pieces)) is not None for pieces in self.inputs.values())
        if reason not in _CUT and not all(whole):
            raise self._error("a tool use whose input is no JSON object")
        yield Stop(reason)
        yield Metered(self.usage)

    def _take(self, event: Mapping[str, object]) -> Iterator[ChatEvent]:
        match event:
            case {"contentBlockDelta": {"delta": {"text": str(text)}}} if text:
                self.spoke = True
                yield TextDelta(text)
            case {
                "contentBlockDelta": {
                    "delta": {"toolUse": {"input": str(piece)}},
                    "contentBlockIndex": int(block),
                }
            } if piece and block in self.inputs:
                self.inputs[block].append(piece)
                yield ToolDelta(self._index(block), piece)
            case {
                "contentBlockStart": {
                    "start": {"toolUse": {"toolUseId": str(called), "name": str(name)}},
                    "contentBlockIndex": int(block),
                }
            } if block not in self.inputs:
                yield self._open(block, called, name)
            case {"messageStop": {"stopReason": str(reason)}}:
                self.reason = reason
            case {"metadata": {"usage": {"inputTokens": int(), "outputTokens": int()} as counts}}:
                self.usage = _usage(counts)

    def _open(self, block: int, called: str, name: str) -> ToolStart:
        """Begin a tool use, under an id of its own: models have been seen to give one twice.

        https://github.com/double16/Cyber-AutoAgent-ng/issues/27
        """
        self.inputs[block] = []
        index = self._index(block)
        unique = called if called not in self.ids else f"{called}_{index}"
        self.ids.add(unique)
        return ToolStart(index, unique, self.names.get(name, name))

    def _close(self, block: int) -> Iterator[ChatEvent]:
        """Write the empty object for an input of which nothing came, so that it is JSON."""
        pieces = self.inputs[block]
        if not "".join(pieces).strip():
            pieces.append("{}")
            yield ToolDelta(self._index(block), "{}")

    def _index(self, block: int) -> int:
        """Count the tool uses, not the blocks."""
        return list(self.inputs).index(block)

    def _stop_reason(self, reason: str) -> StopReason:
        """Translate a stop reason; what malformed and unknown ones mean, the answer shows."""
        known = _STOP_REASONS.get(reason)
        if not self.spoke and not self.inputs and (known is None or reason in _SAYS_NOTHING):
            raise self._error("an answer without text or tool use")
        if known in _CUT:
            return known
        return "tool_calls" if self.inputs else "stop"

    def _error(self, what: str) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(f"{self.candidate}: {what}")


def _answer_in_tool(candidate: str, events: Iterable[ChatEvent]) -> Iterator[ChatEvent]:
    """Yield the input of the first tool use as the answer's text; what is said beside it is not."""
    answered = False
    for event in events:
        match event:
            case ToolDelta(0, piece):
                answered = True
                yield TextDelta(piece)
            case Stop(reason):
                if not answered and reason not in _CUT:
                    raise UpstreamUnavailableError(f"{candidate}: an answer beside its tool")
                yield Stop("stop" if reason == "tool_calls" else reason)
            case Metered():
                yield event


def _usage(counts: Mapping[str, object]) -> Usage:
    """Read the token counts; the cached ones are missing where a model has no cache."""
    known = {name: count for name, count in counts.items() if isinstance(count, int)}
    return Usage(
        input=known["inputTokens"],
        output=known["outputTokens"],
        cache_read=known.get("cacheReadInputTokens", 0),
        cache_write=known.get("cacheWriteInputTokens", 0),
    )
