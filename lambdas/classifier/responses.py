"""What the API answers, as pydantic models: for the OpenAPI document and its readers alone.

Answers are written by `regroup.openai_answer` and `classifier.http`, which never load these.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from regroup.domain.chat import StopReason
from regroup.domain.decision import CacheState
from regroup.domain.mask import Hurdle
from regroup.domain.pointer import Mode
from regroup.domain.policy import Reason

Absent = SkipJsonSchema[None]
"""The field may be missing, and is never null."""


class _Answer(BaseModel):
    """Fields may be added later; a reader ignores those it does not know."""


class Error(_Answer):
    """What went wrong."""

    message: Annotated[str, Field(description="One sentence for a person.")]
    type: str
    code: Annotated[str, Field(description="One word for a program.")]
    param: Annotated[str | None, Field(description="The field of the request at fault.")]


class ErrorAnswer(_Answer):
    """An error in OpenAI's shape."""

    error: Error


# Route explanation


class RouteExplanation(_Answer):
    """Why the decision fell as it did."""

    model_config = ConfigDict(extra="allow")

    decision_id: str
    version: Annotated[str | None, Field(description="Digest of the router; null without one.")]
    routed_model: str
    reason: Reason
    preset: Annotated[
        str,
        Field(description="`custom` with a cost weight of the request's own, `none` by name."),
    ]
    cost_weight: Annotated[float | None, Field(description="Reward that one US dollar had to buy.")]
    scores: Annotated[
        dict[str, float | None],
        Field(description="Predicted reward - cost weight x cost, of those left by the mask."),
    ]
    cluster_id: int | None
    distance: Annotated[float | None, Field(description="To the cluster's centre.")]
    predicted_rewards: dict[str, float | None]
    reward_errors: Annotated[
        dict[str, float | None], Field(description="Standard errors of the predicted rewards.")
    ]
    predicted_output_tokens: dict[str, float | None]
    predicted_costs_usd: dict[str, float | None]
    mask: Annotated[
        dict[str, Hurdle | None], Field(description="What keeps each candidate out, or null.")
    ]
    probabilities: Annotated[
        dict[str, dict[str, float]],
        Field(description="Of each candidate, by who decides, and of all together: `behaviour`."),
    ]
    arm: Annotated[str, Field(description="Who decided: champion or challenger.")]
    challenger_version: str | None
    explore_allowed: bool
    cache: CacheState
    session: Annotated[str, Field(description="Beginning of the conversation's digest.")]
    session_model: Annotated[
        str | Absent, Field(description="Who answered the conversation before, if it is known.")
    ] = None
    session_turns: int | Absent = None
    switch_rival: Annotated[
        str | Absent, Field(description="The best of those that would have to take it over.")
    ] = None
    switch_saving: Annotated[
        float | None, Field(description="What the rival would gain were its prompt cache warm.")
    ] = None
    switch_cost: Annotated[
        float | None, Field(description="What the saving must exceed, in units of reward.")
    ] = None
    switch_cost_usd: float | None = None
    probability_best: Annotated[
        float | None,
        Field(description="That no other candidate earns more, whatever its price."),
    ] = None
    expected_gain: Annotated[
        float | None,
        Field(description="Of reward over the default candidate's; null where that cannot serve."),
    ] = None


# Chat completion


class AnsweredFunction(_Answer):
    """Which function the model wishes to have called, and with what."""

    name: str
    arguments: Annotated[str, Field(description="JSON text, as the model wrote it.")]


class AnsweredToolCall(_Answer):
    """The model's wish to have a function called."""

    id: str
    type: Literal["function"]
    function: AnsweredFunction


class AnswerMessage(_Answer):
    """What the model said."""

    role: Literal["assistant"]
    content: Annotated[str | None, Field(description="Null where it only calls tools.")]
    refusal: str | None
    tool_calls: list[AnsweredToolCall] | Absent = None


class Choice(_Answer):
    """The answer; there is always exactly one."""

    index: int
    message: AnswerMessage
    finish_reason: StopReason
    logprobs: Annotated[dict[str, object] | None, Field(description="Always null.")]


class PromptTokensDetails(_Answer):
    """How much of the prompt was read from the provider's cache."""

    cached_tokens: int


class Usage(_Answer):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class ChatCompletion(_Answer):
    """A whole answer."""

    id: Annotated[str, Field(description="`chatcmpl-` and the decision id.")]
    object: Literal["chat.completion"]
    created: Annotated[int, Field(description="Seconds since 1970.")]
    model: Annotated[str, Field(description="The candidate that answered.")]
    choices: Annotated[list[Choice], Field(min_length=1, max_length=1)]
    usage: Usage
    regroup: Annotated[
        RouteExplanation | Absent, Field(description="Where `regroup.explain` asked for it.")
    ] = None


class FunctionPiece(_Answer):
    """A function's name, or the next piece of its arguments."""

    name: str | Absent = None
    arguments: str


class ToolCallPiece(_Answer):
    """The beginning of a wish for a tool, with id and name, or the next piece of it."""

    index: int
    id: str | Absent = None
    type: Literal["function"] | Absent = None
    function: FunctionPiece


class Delta(_Answer):
    """The next piece of the answer."""

    role: Literal["assistant"] | Absent = None
    content: str | None = None
    tool_calls: list[ToolCallPiece] | Absent = None


class ChunkChoice(_Answer):
    """The next piece of the answer, or why it ended."""

    index: int
    delta: Delta
    finish_reason: StopReason | None
    logprobs: Annotated[dict[str, object] | None, Field(description="Always null.")]


class ChatCompletionChunk(_Answer):
    """One event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: Annotated[list[ChunkChoice], Field(description="Empty in the event of the usage.")]
    usage: Annotated[
        Usage | Absent, Field(description="In the last event, where `include_usage` asked for it.")
    ] = None
    regroup: Annotated[
        RouteExplanation | Absent,
        Field(description="In the first event, where `regroup.explain` asked for it."),
    ] = None


# The rest


class FeedbackAnswer(_Answer):
    """What was written down."""

    decision_id: str
    reward_score: Annotated[float, Field(ge=0, le=1)]
    recorded: Literal[True]


class Model(_Answer):
    """A name that `model` may take."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: Annotated[str, Field(description="`regroup`, or the family of the candidate.")]


class ModelList(_Answer):
    """Virtual models, which are routed, then the candidates."""

    object: Literal["list"]
    data: list[Model]


class Health(_Answer):
    """What is live."""

    status: Annotated[
        Literal["ok", "degraded"],
        Field(description="`degraded`: what was published cannot be read; what was live stays."),
    ]
    artifact: Annotated[str | None, Field(description="Digest of the router that is live.")]
    age_seconds: Annotated[int | None, Field(description="Since it was loaded.")]
    routes: Annotated[bool, Field(description="Whether it was shown to be better than one model.")]
    challenger: str | None
    mode: Mode
    candidates: list[str]
