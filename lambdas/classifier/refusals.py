"""Why nobody answers a request, in words that say what would help."""

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from math import ceil

from regroup.domain.budget import MICRO, Amount, Budget, budget_day
from regroup.domain.mask import Hurdle
from regroup.errors import BudgetExhaustedError, UnprocessableError

_CURES: Mapping[Hurdle, str] = {
    Hurdle.NOT_WANTED: "name more in `regroup.candidates`",
    Hurdle.RESIDENCY: "allow another `regroup.residency`, where the deployment does",
    Hurdle.SYSTEM: "leave out the system messages",
    Hurdle.TOOLS: "leave out `tools`",
    Hurdle.FORCED_TOOL: "leave `tool_choice` to the model",
    Hurdle.IMAGES: "leave out the images",
    Hurdle.JSON_SCHEMA: "give a schema of type object and no `tools`, or use `json_object`",
    Hurdle.PREFILL: "end with a message of the user's",
    Hurdle.CONTEXT: "shorten the messages",
    Hurdle.COST_CAP: "raise `regroup.max_cost_usd` or lower `max_tokens`",
}
"""What the caller can do; the other hurdles are the deployment's."""


def nobody_can_serve(mask: Mapping[str, Hurdle | None]) -> UnprocessableError:
    """Return the error of a request that no candidate can serve."""
    reasons = ", ".join(f"{name}: {hurdle}" for name, hurdle in mask.items())
    return UnprocessableError(
        f"No candidate can serve this request ({reasons}).{_what_helps(mask.values())}",
        code="no_candidate",
    )


def named_cannot_serve(name: str, hurdle: Hurdle) -> UnprocessableError:
    """Return the error of a request whose named candidate cannot serve it."""
    return UnprocessableError(
        f"{name} cannot serve this request ({hurdle}).{_what_helps([hurdle])} "
        "The model name `regroup` finds a candidate that can, if there is one.",
        code="no_candidate",
        param="model",
    )


def budget_exhausted(
    now: float, zone: tzinfo, budget: Budget, needed: Iterable[Amount]
) -> BudgetExhaustedError:
    """Return the error of a key whose budget of the day does not hold a request.

    Args:
        now: seconds since 1970.
        zone: whose midnight ends the day.
        budget: of the key.
        needed: the most that a call may use, by each candidate that could serve.
    """
    least = min(needed, key=lambda amount: amount.usd_micros)
    if not budget.holds(least, Amount(0, 0)):
        return BudgetExhaustedError(
            f"The budget of this key is {_words(budget.usd_micros, budget.tokens)} a day, and this "
            f"request may need {_words(least.usd_micros, least.tokens)}: lower `max_tokens`, "
            "shorten the messages, or use a key with a larger budget.",
            retry_after_seconds=None,
        )
    day = budget_day(now, zone)
    reset = datetime.fromtimestamp(day.ends_at, zone)
    return BudgetExhaustedError(
        f"The budget of this key for {day.name} cannot hold this request; it is whole again at "
        f"{reset.isoformat()}. A lower `max_tokens` needs less of it.",
        retry_after_seconds=ceil(day.ends_at - now),
    )


def _what_helps(hurdles: Iterable[Hurdle | None]) -> str:
    cures = dict.fromkeys(_CURES[one] for one in hurdles if one is not None and one in _CURES)
    return f" What would help: {'; '.join(cures)}." if cures else ""


def _words(usd_micros: int | None, tokens: int | None) -> str:
    words = []
    if usd_micros is not None:
        words.append(f"{usd_micros / MICRO:f} USD")
    if tokens is not None:
        words.append(f"{tokens:,} tokens")
    return " and ".join(words)
