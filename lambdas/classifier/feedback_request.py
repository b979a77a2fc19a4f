"""The body of `POST /v1/feedback`."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

COMPLETION_PREFIX = "chatcmpl-"


def _without_prefix(value: object) -> object:
    """Clients have the id of a completion at hand: `chatcmpl-<decision id>`."""
    return value.removeprefix(COMPLETION_PREFIX) if isinstance(value, str) else value


class FeedbackRequest(BaseModel):
    """How good the answer of one decision was: a reward in [0, 1], or a thumb."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    decision_id: Annotated[
        str, BeforeValidator(_without_prefix), Field(pattern=r"^[0-9a-z-]{1,64}$")
    ]
    reward: Annotated[float, Field(ge=0, le=1)] | None = None
    thumbs: Annotated[Literal["up", "down"] | None, Field(validate_default=True)] = None

    @field_validator("thumbs")
    @classmethod
    def _one_of_both(cls, thumbs: str | None, info: ValidationInfo) -> str | None:
        # A reward that was refused is not among the data, and is complaint enough.
        if "reward" in info.data and (info.data["reward"] is None) is (thumbs is None):
            raise PydanticCustomError("one_judgement", "Give either `reward` or `thumbs`")
        return thumbs

    @property
    def score(self) -> float:
        """The reward, in [0, 1]."""
        if self.reward is not None:
            return self.reward
        return 1.0 if self.thumbs == "up" else 0.0
