"""What Bedrock demands of a conversation, met by the turns themselves.

Blank texts are refused, so are two turns of one role in a row, an assistant that opens, and tool
uses or results in a request that offers no tools:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and, of the last,
https://github.com/vxcontrol/pentagi/pull/196
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from regroup.aliases import aliases
from regroup.domain.catalog import Candidate
from regroup.domain.chat import (
    Block,
    ChatRequest,
    Image,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    said,
)
from regroup.errors import UpstreamRejectedError

NAME_ALPHABET = "a-zA-Z0-9_-"
"""Of `ToolName` in botocore's model of bedrock-runtime."""
ID_ALPHABET = NAME_ALPHABET
"""Narrower than `ToolUseId` there: Claude's own API takes neither `.` nor `:`."""

_FIRST_USER_TEXT = "."
_NOTHING = Text("(The tool gave back nothing.)")


def tool_names(request: ChatRequest) -> dict[str, str]:
    """Return for each tool that a request offers or tells of the name it has on Bedrock."""
    if not request.offers_tools:
        return {}
    used = (block.name for block in request.blocks() if isinstance(block, ToolUse))
    names = dict.fromkeys((*(tool.name for tool in request.tools), *used))
    return dict(zip(names, aliases(names, NAME_ALPHABET), strict=True))


def legal_turns(candidate: Candidate, request: ChatRequest) -> list[Turn]:
    """Return a request's turns as Bedrock takes them; roles alternate and the user opens.

    Raises:
        UpstreamRejectedError: the conversation holds nothing at all.
    """
    turns = list(_renamed(request) if request.offers_tools else _told(request.turns))
    turns = [turn for turn in map(_without_blanks, turns) if turn.content]
    if not turns:
        raise UpstreamRejectedError(f"{candidate.name}: a conversation without content")
    if not candidate.capabilities.system:
        turns = [said("user", text) for text in request.system if text.strip()] + turns
    if turns[0].role == "assistant":
        turns.insert(0, said("user", _FIRST_USER_TEXT))
    joined = [
        Turn(role, tuple(_ordered(block for turn in same for block in turn.content)))
        for role, same in groupby(turns, lambda turn: turn.role)
    ]
    match joined[-1]:
        case Turn("assistant", (*before, Text(text))):
            # Claude refuses a prefill that ends in white space.
            joined[-1] = Turn("assistant", (*before, Text(text.rstrip())))
    return joined


def _renamed(request: ChatRequest) -> Iterator[Turn]:
    """Yield the turns with names and ids that Bedrock takes; no id stands twice."""
    names = tool_names(request)
    uses = (block.id for block in request.blocks() if isinstance(block, ToolUse))
    new_ids = iter(aliases(uses, ID_ALPHABET))
    ids: dict[str, str] = {}

    def renamed(block: Block) -> Block:
        match block:
            case ToolUse(old, name):
                ids[old] = next(new_ids)
                return replace(block, id=ids[old], name=names[name])
            case ToolResult(old):
                return replace(block, id=ids.get(old, old))
            case _:
                return block

    for turn in request.turns:
        yield Turn(turn.role, tuple(map(renamed, turn.content)))


def _told(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Yield the turns with tool uses and results in words, which need no tool on offer."""
    names: dict[str, str] = {}

    def told(block: Block) -> tuple[Block, ...]:
        match block:
            case ToolUse(called, name, arguments):
                names[called] = name
                return (Text(f"Tool call {called}: {name}({arguments})"),)
            case ToolResult(called, content):
                heading = Text(f"Result of tool call {called} ({names.get(called, 'unknown')}):")
                return (heading, *_something(content))
            case _:
                return (block,)

    for turn in turns:
        yield Turn(turn.role, tuple(part for block in turn.content for part in told(block)))


def _without_blanks(turn: Turn) -> Turn:
    def kept(block: Block) -> Block:
        if isinstance(block, ToolResult):
            return replace(block, content=_something(block.content))
        return block

    return Turn(turn.role, tuple(kept(block) for block in turn.content if not _is_blank(block)))


def _something(content: Iterable[Text | Image]) -> tuple[Text | Image, ...]:
    """Return what a tool gave back, in any case something."""
    return tuple(block for block in content if not _is_blank(block)) or (_NOTHING,)


def _is_blank(block: Block) -> bool:
    return isinstance(block, Text) and not block.text.strip()


def _ordered(blocks: Iterable[Block]) -> list[Block]:
    """Put results before what else the user says, and uses after what else the assistant says.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use
    """
    places = {ToolResult: 0, Text: 1, Image: 1, ToolUse: 2}
    return sorted(blocks, key=lambda block: places[type(block)])
