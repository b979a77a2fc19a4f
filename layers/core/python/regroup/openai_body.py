"""The body of `POST /v1/chat/completions` as OpenAI's clients write it, checked by pydantic.

A message, part, tool or format of a kind that is not served passes as `Unserved`, so that
`regroup.openai_chat` can refuse it by name; JSON schemas of these models leave it out.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from regroup.json_object import MOST_NESTED, can_be_sent

_OTHER = "other"


def _kinds(*served: str, default: str = _OTHER, word: str = _OTHER) -> Discriminator:
    """Tell the members of a union by `type`; all that is not served is one kind."""

    def kind_of(value: object) -> str:
        if isinstance(value, str):
            return word
        kind = value.get("type", default) if isinstance(value, dict) else _OTHER
        return kind if kind in served else _OTHER

    return Discriminator(kind_of)


def _role_of(message: object) -> str | None:
    role = message.get("role") if isinstance(message, dict) else None
    return "system" if role == "developer" else role


def _sendable(value: dict[str, Any]) -> dict[str, Any]:
    if not can_be_sent(value):
        raise PydanticCustomError(
            "json_object",
            "The object holds a number beyond JSON's, or more than {most} levels",
            {"most": MOST_NESTED},
        )
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_sendable)]


class _Lenient(BaseModel):
    """Clients send fields of newer versions of the API; those not known here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Unserved(_Lenient):
    """Something of a kind that is not served."""

    type: str


# Messages


class TextPart(_Lenient):
    """A piece of text in a message."""

    type: Literal["text"]
    text: str | None = None


class ImageUrl(_Lenient):
    """Where a picture is: in the URL itself."""

    url: Annotated[
        str,
        Field(
            description="A data URL, `data:image/png;base64,...`; also jpeg, gif and webp. "
            "Pictures elsewhere are not fetched."
        ),
    ]


class ImagePart(_Lenient):
    """A picture in a message of the user or a tool."""

    type: Literal["image_url"]
    image_url: ImageUrl


type Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[SkipJsonSchema[Unserved], Tag(_OTHER)],
    _kinds("text", "image_url"),
]

type Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[Part], Tag("parts")],
    # One branch only is tried: an error in a part is not reported as "not a string".
    Discriminator(lambda value: "parts" if isinstance(value, list) else "text"),
]


class CalledFunction(_Lenient):
    """Which function the assistant wished to have called, and with what."""

    name: Annotated[str, Field(min_length=1)]
    arguments: Annotated[str, Field(description="JSON text of an object; empty means none.")] = ""


class ToolCall(_Lenient):
    """The assistant's wish to have a function called."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction


type AnyToolCall = Annotated[
    Annotated[ToolCall, Tag("function")] | Annotated[SkipJsonSchema[Unserved], Tag(_OTHER)],
    _kinds("function", default="function"),
]


class SystemMessage(_Lenient):
    """How the assistant should behave."""

    role: Literal["system", "developer"]
    content: Content | None = None


class UserMessage(_Lenient):
    """What the user said or showed."""

    role: Literal["user"]
    content: Content | None = None


class AssistantMessage(_Lenient):
    """What the assistant answered; the last message may be the beginning of the answer."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[AnyToolCall] | None = None
    function_call: SkipJsonSchema[Any] = None


class ToolMessage(_Lenient):
    """What a function gave back."""

    role: Literal["tool"]
    tool_call_id: Annotated[str, Field(min_length=1)]
    content: Content | None = None


class FunctionMessage(_Lenient):
    """What came before tool messages; not served."""

    role: Literal["function"]


type Message = Annotated[
    Annotated[SystemMessage, Tag("system")]
    | Annotated[UserMessage, Tag("user")]
    | Annotated[AssistantMessage, Tag("assistant")]
    | Annotated[ToolMessage, Tag("tool")]
    | Annotated[SkipJsonSchema[FunctionMessage], Tag("function")],
    Discriminator(
        _role_of,
        custom_error_type="role",
        # Not pydantic's own sentence: it repeats the role, which is the caller's.
        custom_error_message="The role must be system, developer, user, assistant or tool",
    ),
]


# Tools


class Function(_Lenient):
    """A function that the model may wish to have called."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Annotated[
        JsonObject | None, Field(description="JSON schema of its arguments, an object.")
    ] = None


class FunctionTool(_Lenient):
    """A tool; functions are the only ones served."""

    type: Literal["function"]
    function: Function


type Tool = Annotated[
    Annotated[FunctionTool, Tag("function")] | Annotated[SkipJsonSchema[Unserved], Tag(_OTHER)],
    _kinds("function"),
]


class ChosenFunction(_Lenient):
    """The name of the function that must be called."""

    name: str


class FunctionChoice(_Lenient):
    """The one tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


type ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")]
    | Annotated[FunctionChoice, Tag("function")]
    | Annotated[SkipJsonSchema[Unserved], Tag(_OTHER)],
    _kinds("function", word="word"),
]


# The form of the answer


class TextFormat(_Lenient):
    """Text, which is what an answer is unless something else is asked for."""

    type: Literal["text"] = "text"


class JsonObjectFormat(_Lenient):
    """One JSON object of any form; the model is asked for it in words."""

    type: Literal["json_object"]


class NamedSchema(_Lenient):
    """A JSON schema and what it describes."""

    name: Annotated[str, Field(min_length=1)]
    schema_: Annotated[JsonObject, Field(alias="schema")]
    description: str | None = None


class JsonSchemaFormat(_Lenient):
    """JSON of a given form."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


type ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("text")]
    | Annotated[JsonObjectFormat, Tag("json_object")]
    | Annotated[JsonSchemaFormat, Tag("json_schema")]
    | Annotated[SkipJsonSchema[Unserved], Tag(_OTHER)],
    _kinds("text", "json_object", "json_schema", default="text"),
]


type Stop = Annotated[
    Annotated[str, Tag("one")] | Annotated[list[str], Field(max_length=4), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]


class StreamOptions(_Lenient):
    """What a stream should hold besides the answer."""

    include_usage: bool | None = None


# The whole


class RegroupOptions(BaseModel):
    """What a request may ask of the router; unknown fields are refused, as a person wrote them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cost_weight: Annotated[
        Finite | None,
        Field(ge=0, description="Reward that one US dollar is worth; takes the preset's place."),
    ] = None
    candidates: Annotated[
        list[str] | None,
        Field(min_length=1, max_length=32, description="The only candidates that may answer."),
    ] = None
    max_cost_usd: Annotated[
        Finite | None, Field(gt=0, description="The most this one answer may cost.")
    ] = None
    residency: Annotated[
        Literal["jp", "apac", "us", "global"] | None,
        Field(description="Where the prompt may be processed."),
    ] = None
    session_id: Annotated[
        str | None,
        Field(min_length=1, max_length=128, description="Names the conversation to the router."),
    ] = None
    explain: Annotated[bool, Field(description="Say in the answer why this model gave it.")] = False
    explore: Annotated[bool, Field(description="Whether chance may choose the model.")] = True


class ChatCompletionRequest(_Lenient):
    """The body of `POST /v1/chat/completions`."""

    model: Annotated[
        str, Field(description="A virtual model, which is routed, or a candidate's name.")
    ] = "regroup"
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int | None, Field(gt=0)] = None
    max_completion_tokens: Annotated[int | None, Field(gt=0)] = None
    temperature: Annotated[Finite | None, Field(ge=0, le=2)] = None
    top_p: Annotated[Finite | None, Field(ge=0, le=1)] = None
    stop: Stop | None = None
    n: Annotated[int | None, Field(description="The number of answers; only 1 is served.")] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    user: Annotated[str | None, Field(description="Ignored.")] = None
    regroup: RegroupOptions | None = None
