"""Chat requests in Bedrock's terms; pure translation.

The shapes are those of botocore's model of bedrock-runtime:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from regroup.aliases import aliases
from regroup.converse_turns import NAME_ALPHABET, legal_turns, tool_names
from regroup.domain.catalog import Candidate, count_scripts
from regroup.domain.chat import (
    DEFAULT_MAX_TOKENS,
    Block,
    ChatRequest,
    Image,
    JsonSchema,
    NamedTool,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from regroup.domain.mask import TOKENS_PER_IMAGE
from regroup.errors import UpstreamIncapableError, UpstreamRejectedError
from regroup.json_object import read_object

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.type_defs import (
        CachePointBlockTypeDef,
        ContentBlockTypeDef,
        ConverseStreamRequestTypeDef,
        GuardrailStreamConfigurationTypeDef,
        ImageBlockTypeDef,
        InferenceConfigurationTypeDef,
        OutputConfigTypeDef,
        SystemContentBlockTypeDef,
        ToolChoiceTypeDef,
        ToolResultContentBlockTypeDef,
        ToolSpecificationTypeDef,
        ToolTypeDef,
    )

_MAX_TEMPERATURE = 1.0
_CACHE_POINT: "CachePointBlockTypeDef" = {"type": "default"}


def converse_request(candidate: Candidate, request: ChatRequest) -> "ConverseStreamRequestTypeDef":
    """Return the ConverseStream parameters of a request to a candidate.

    Raises:
        UpstreamRejectedError: the conversation holds nothing, or arguments that are no JSON.
        UpstreamIncapableError: the candidate has no way to answer in the form asked for.
    """
    turns = legal_turns(candidate, request)
    contents = [[_block(candidate, block) for block in turn.content] for turn in turns]
    system = list(_system(candidate, request))
    offered, choice = _offer(candidate, request)
    tools = [_tool(tool) for tool in offered]
    _mark_cache(candidate, request, tools, system, turns, contents)
    converse: ConverseStreamRequestTypeDef = {
        "modelId": candidate.invoke_id,
        "messages": [
            {"role": turn.role, "content": content}
            for turn, content in zip(turns, contents, strict=True)
        ],
        "inferenceConfig": _inference_config(candidate, request),
    }
    if system:
        converse["system"] = system
    if tools:
        converse["toolConfig"] = {"tools": tools}
        if choice != "auto":
            converse["toolConfig"]["toolChoice"] = _tool_choice(choice)
    if request.json_schema is not None and candidate.capabilities.json_schema:
        converse["outputConfig"] = _output_config(request.json_schema)
    if candidate.guardrail_id:
        converse["guardrailConfig"] = _guardrail(candidate.guardrail_id)
    return converse


def answers_by_tool(candidate: Candidate, request: ChatRequest) -> bool:
    """Tell whether the answer comes as the input of a tool that must be called.

    That is how a candidate keeps to a JSON schema that has no setting for it.
    """
    return request.json_schema is not None and not candidate.capabilities.json_schema


def _offer(candidate: Candidate, request: ChatRequest) -> tuple[list[Tool], ToolChoice]:
    """Return the tools under the names they have on Bedrock, and which must be called."""
    if answers_by_tool(candidate, request):
        tool = _answer_tool(candidate, request)
        return [tool], NamedTool(tool.name)
    if not request.offers_tools:
        return [], "auto"
    names = tool_names(request)
    tools = [Tool(names[tool.name], tool.description, tool.parameters) for tool in request.tools]
    if isinstance(request.tool_choice, NamedTool):
        return tools, NamedTool(names[request.tool_choice.name])
    return tools, request.tool_choice


def _answer_tool(candidate: Candidate, request: ChatRequest) -> Tool:
    """Return the tool whose input is the answer."""
    form = request.json_schema
    if form is None or request.offers_tools or not candidate.capabilities.forced_tool_choice:
        raise UpstreamIncapableError(f"{candidate.name}: no answers by JSON schema beside tools")
    if form.schema.get("type", "object") != "object":
        raise UpstreamIncapableError(f"{candidate.name}: JSON that is no object needs json_schema")
    [name] = aliases([form.name], NAME_ALPHABET)
    return Tool(name, form.description or "Takes the answer.", form.schema)


def _tool(tool: Tool) -> "ToolTypeDef":
    specification: ToolSpecificationTypeDef = {
        "name": tool.name,
        # Claude refuses a schema that does not say it is an object's.
        "inputSchema": {"json": {"type": "object", **tool.parameters}},
    }
    # An empty one is refused: https://github.com/anomalyco/opencode/pull/48582
    if tool.description.strip():
        specification["description"] = tool.description
    return {"toolSpec": specification}


def _tool_choice(choice: ToolChoice) -> "ToolChoiceTypeDef":
    return {"tool": {"name": choice.name}} if isinstance(choice, NamedTool) else {"any": {}}


def _output_config(form: JsonSchema) -> "OutputConfigTypeDef":
    schema = json.dumps(form.schema, ensure_ascii=False)
    config: OutputConfigTypeDef = {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": schema, "name": form.name}},
        }
    }
    if form.description:
        config["textFormat"]["structure"]["jsonSchema"]["description"] = form.description
    return config


def _system(candidate: Candidate, request: ChatRequest) -> "Iterator[SystemContentBlockTypeDef]":
    """Yield the system texts; where a candidate takes none, they are among the turns."""
    if candidate.capabilities.system:
        for text in request.system:
            if text.strip():
                yield {"text": text}


def _block(candidate: Candidate, block: Block) -> "ContentBlockTypeDef":
    match block:
        case Text(text):
            return {"text": text}
        case Image():
            return {"image": _image(block)}
        case ToolUse(called, name, arguments):
            parsed = read_object(arguments)
            if parsed is None:
                raise UpstreamRejectedError(f"{candidate.name}: a tool use without JSON")
            return {"toolUse": {"toolUseId": called, "name": name, "input": parsed}}
        case ToolResult(called, content):
            return {"toolResult": {"toolUseId": called, "content": [*map(_given_back, content)]}}


def _given_back(block: Text | Image) -> "ToolResultContentBlockTypeDef":
    return {"text": block.text} if isinstance(block, Text) else {"image": _image(block)}


def _image(image: Image) -> "ImageBlockTypeDef":
    return {"format": image.format, "source": {"bytes": image.data}}


def _mark_cache(
    candidate: Candidate,
    request: ChatRequest,
    tools: "list[ToolTypeDef]",
    system: "list[SystemContentBlockTypeDef]",
    turns: Sequence[Turn],
    contents: "Sequence[list[ContentBlockTypeDef]]",
) -> None:
    """Add a cache point to the end of each prefix that later requests will repeat.

    One closes tools and system texts, which all conversations of a prompt share; one closes what
    the user said last, once there is a conversation. A prefix too short for the provider to cache
    gets none. https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    cache = candidate.capabilities.prompt_cache
    if cache is None:
        return
    # Nova takes none among tools, nor right after a tool's result:
    # https://github.com/danny-avila/LibreChat/issues/13838
    takes_any = candidate.family == "anthropic"
    texts = [json.dumps(tool, ensure_ascii=False) for tool in tools]
    texts += [block.get("text", "") for block in system]
    head_tokens = candidate.estimate_tokens(count_scripts("".join(texts)))
    if head_tokens >= cache.min_tokens:
        if system:
            system.append({"cachePoint": _CACHE_POINT})
        elif takes_any:
            tools.append({"cachePoint": _CACHE_POINT})
    last = max(index for index, turn in enumerate(turns) if turn.role == "user")
    said_tokens = _tokens(candidate, turns[: last + 1])
    fits = takes_any or not isinstance(turns[last].content[-1], ToolResult)
    if fits and request.is_continued and head_tokens + said_tokens >= cache.min_tokens:
        contents[last].append({"cachePoint": _CACHE_POINT})


def _tokens(candidate: Candidate, turns: Iterable[Turn]) -> int:
    """Estimate the tokens of turns."""
    blocks: list[Block] = []
    for turn in turns:
        for block in turn.content:
            blocks += block.content if isinstance(block, ToolResult) else (block,)
    texts = [block.text for block in blocks if isinstance(block, Text)]
    texts += [f"{use.name}{use.arguments}" for use in blocks if isinstance(use, ToolUse)]
    images = sum(isinstance(block, Image) for block in blocks)
    return candidate.estimate_tokens(count_scripts("".join(texts))) + TOKENS_PER_IMAGE * images


def _inference_config(
    candidate: Candidate, request: ChatRequest
) -> "InferenceConfigurationTypeDef":
    """Return the limits and sampling; maxTokens is always there, what cannot be sampled is not."""
    wanted = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    config: InferenceConfigurationTypeDef = {"maxTokens": min(wanted, candidate.max_output_tokens)}
    if candidate.capabilities.sampling:
        if request.temperature is not None:
            # OpenAI's scale ends at 2, Bedrock's at 1.
            config["temperature"] = min(request.temperature, _MAX_TEMPERATURE)
        # 1 changes nothing, and Claude refuses the pair:
        # https://github.com/aws-samples/bedrock-access-gateway/issues/191
        if request.top_p is not None and request.top_p < 1:
            config["topP"] = request.top_p
    stop = [text for text in request.stop if text]
    if stop:
        config["stopSequences"] = stop
    return config


def _guardrail(guardrail_id: str) -> "GuardrailStreamConfigurationTypeDef":
    """Split `id:version`, where the id may be an ARN with colons of its own."""
    match = re.fullmatch(r"(.+):(\d+|DRAFT)", guardrail_id)
    identifier, version = match.groups() if match else (guardrail_id, "DRAFT")
    return {"guardrailIdentifier": identifier, "guardrailVersion": version}
