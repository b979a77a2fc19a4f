"""Requests in the project's own terms, and what Converse is asked for them."""

from dataclasses import replace
from typing import Any

from regroup.converse import converse_request
from regroup.domain.catalog import Candidate, Capabilities, Prices
from regroup.domain.chat import (
    ChatRequest,
    Image,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    said,
)

CANDIDATE = Candidate(
    name="haiku",
    family="claude",
    model_id="anthropic.claude-haiku-4-5-20251001-v1:0",
    region="ap-northeast-1",
    prices=Prices(input=1, output=5),
    context_tokens=200_000,
    max_output_tokens=8_000,
    tokens_per_char={"latin": 0.25, "cjk": 1, "other": 0.5},
    capabilities=Capabilities(),
    residency="jp",
)
HELLO = ChatRequest(turns=(said("user", "hello"),))


def translate(candidate: Candidate = CANDIDATE, **changes: Any) -> dict[str, Any]:
    """Translate HELLO with some fields changed."""
    return dict(converse_request(candidate, replace(HELLO, **changes)))


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA)
NOW = Tool("now", " ", {"properties": {}})
ABLE = replace(
    CANDIDATE,
    capabilities=Capabilities(tools=True, forced_tool_choice=True, images=True, prefill=True),
)
PNG = Image("png", b"\x89PNG\r\n\x1a\n...")
PNG_BLOCK = {"image": {"format": "png", "source": {"bytes": PNG.data}}}


def use(called: str, name: str = "weather", arguments: str = '{"city": "Oslo"}') -> ToolUse:
    return ToolUse(called, name, arguments)


def gave(called: str, *content: Text | Image) -> ToolResult:
    return ToolResult(called, content)
