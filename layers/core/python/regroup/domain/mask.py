"""Find the candidates that cannot serve a request, before any of them is scored."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from regroup.domain.catalog import Candidate, Catalog, Residency, Script, count_scripts
from regroup.domain.chat import ChatRequest, Image, Text, ToolResult, ToolUse

TOKEN_MARGIN = 1.1
"""Estimated tokens may be this much too low without a request being refused upstream."""

type Closed = Callable[[Collection[str]], Collection[str]]
"""Says which of the candidates still able are closed to a key."""

TOKENS_PER_IMAGE = 1_600
"""What the largest picture costs that Claude takes without shrinking it.

https://docs.claude.com/en/docs/build-with-claude/vision
"""

_WITHIN: Mapping[Residency, frozenset[Residency]] = {
    "jp": frozenset({"jp"}),
    "apac": frozenset({"jp", "apac"}),
    "us": frozenset({"us"}),
    "global": frozenset({"jp", "apac", "us", "global"}),
}
"""Which candidates keep a prompt inside a region."""


class Hurdle(StrEnum):
    """Why a candidate is left out."""

    NOT_SCORED = "not_scored"
    """The live artifact predicts nothing for it."""
    NOT_WANTED = "not_wanted"
    """The request lists the candidates it takes, and this is none."""
    RESIDENCY = "residency"
    NOT_YET = "not_yet_available"
    ENDED = "end_of_life"
    SYSTEM = "system_messages"
    TOOLS = "tools"
    FORCED_TOOL = "forced_tool_choice"
    IMAGES = "images"
    JSON_SCHEMA = "json_schema"
    PREFILL = "prefill"
    CONTEXT = "context_window"
    COST_CAP = "max_cost_usd"
    BUDGET = "budget"
    COOLING_DOWN = "cooling_down"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request asks of whoever serves it."""

    script_counts: Mapping[Script, int]
    """Characters of the whole prompt by script: messages, tools and schema."""
    today: date
    images: int = 0
    system: bool = False
    tools: bool = False
    """Tools are offered, so their uses and results in the conversation are sent as such."""
    forced_tool: bool = False
    """The answer must call a tool."""
    json_schema: bool = False
    json_of_object: bool = True
    """Whether that schema is an object's, as the arguments of a tool are."""
    prefill: bool = False
    """The assistant spoke last: the answer goes on from there."""
    residencies: tuple[Residency, ...] = ()
    """Where the prompt may be processed: each of these must hold."""
    only: frozenset[str] | None = None
    """The candidates that the request takes; None: any."""

    def input_tokens(self, candidate: Candidate) -> int:
        """Estimate the tokens of the prompt for a candidate."""
        return candidate.estimate_tokens(self.script_counts) + TOKENS_PER_IMAGE * self.images


def needs_of(
    chat: ChatRequest,
    today: date,
    *,
    residencies: tuple[Residency, ...] = (),
    only: frozenset[str] | None = None,
) -> Needs:
    """Return what a request needs; whatever is sent counts into the size of the prompt."""
    blocks = tuple(chat.blocks())
    texts = [*chat.system, *(block.text for block in blocks if isinstance(block, Text))]
    texts += [f"{use.id}{use.name}{use.arguments}" for use in blocks if isinstance(use, ToolUse)]
    texts += [result.id for result in blocks if isinstance(result, ToolResult)]
    if chat.offers_tools:
        for tool in chat.tools:
            texts += [tool.name, tool.description, json.dumps(tool.parameters, ensure_ascii=False)]
    schema = chat.json_schema
    if schema is not None:
        texts.append(json.dumps(schema.schema, ensure_ascii=False))
    return Needs(
        script_counts=count_scripts("".join(texts)),
        today=today,
        images=sum(isinstance(block, Image) for block in blocks),
        system=bool(chat.system),
        tools=chat.offers_tools,
        forced_tool=chat.offers_tools and chat.tool_choice != "auto",
        json_schema=schema is not None,
        json_of_object=schema is None or schema.schema.get("type", "object") == "object",
        prefill=chat.turns[-1].role == "assistant",
        residencies=residencies,
        only=only,
    )


def find_hurdles(
    catalog: Catalog,
    needs: Needs,
    *,
    scored: Collection[str],
    cooling: Collection[str] = (),
    over_cap: Collection[str] = (),
    closed: Closed = lambda _able: (),
) -> dict[str, Hurdle | None]:
    """Return for every candidate what keeps it from serving, or None.

    A candidate that only rests is let back in where nobody else is left: the last one standing
    is always tried.

    Args:
        catalog: all there are.
        needs: what the request asks of whoever serves it.
        scored: those the live artifact predicts for.
        cooling: those that failed a moment ago.
        over_cap: those that may cost more than the request allows.
        closed: says which of those still able the key's budget cannot pay for.
    """
    hurdles = {
        name: find_lasting_hurdle(candidate, needs) if name in scored else Hurdle.NOT_SCORED
        for name, candidate in catalog.candidates.items()
    }
    hurdles |= dict.fromkeys((n for n in _able(hurdles) if n in over_cap), Hurdle.COST_CAP)
    hurdles |= dict.fromkeys(closed(_able(hurdles)), Hurdle.BUDGET)
    able = _able(hurdles)
    resting = [name for name in able if name in cooling]
    if len(resting) < len(able):
        hurdles |= dict.fromkeys(resting, Hurdle.COOLING_DOWN)
    return hurdles


def _able(hurdles: Mapping[str, Hurdle | None]) -> list[str]:
    return [name for name, hurdle in hurdles.items() if hurdle is None]


def find_lasting_hurdle(candidate: Candidate, needs: Needs) -> Hurdle | None:
    """Return what keeps this candidate from serving the request at any time today, or None."""
    can = candidate.capabilities
    # By a tool that must be called and whose arguments are the answer: `regroup.converse`.
    by_tool = can.forced_tool_choice and not needs.tools and needs.json_of_object
    writes_json = can.json_schema or by_tool
    obstacles = {
        Hurdle.NOT_WANTED: needs.only is not None and candidate.name not in needs.only,
        Hurdle.RESIDENCY: any(
            candidate.residency not in _WITHIN[place] for place in needs.residencies
        ),
        Hurdle.NOT_YET: candidate.available_from is not None
        and needs.today < candidate.available_from,
        Hurdle.ENDED: candidate.end_of_life is not None and needs.today >= candidate.end_of_life,
        Hurdle.SYSTEM: needs.system and not can.system,
        Hurdle.TOOLS: needs.tools and not can.tools,
        Hurdle.FORCED_TOOL: needs.forced_tool and not can.forced_tool_choice,
        Hurdle.IMAGES: needs.images > 0 and not can.images,
        Hurdle.JSON_SCHEMA: needs.json_schema and not writes_json,
        Hurdle.PREFILL: needs.prefill and not can.prefill,
        Hurdle.CONTEXT: needs.input_tokens(candidate) * TOKEN_MARGIN > candidate.context_tokens,
    }
    return next((hurdle for hurdle, stands in obstacles.items() if stands), None)
