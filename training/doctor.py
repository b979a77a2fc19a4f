"""Ask every candidate one tiny question, and say of each that does not answer why, and the cure."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from threading import Thread

from regroup.domain.catalog import Candidate, Catalog, Residency
from regroup.domain.chat import ChatRequest, Usage, fold, said
from regroup.domain.mask import Hurdle, find_lasting_hurdle, needs_of
from regroup.ports import ChatModel
from training.cures import Advice, Refusal, advise, refusal_of

TIMEOUT_SECONDS = 20.0
"""The most that all questions together may take: they are asked side by side."""

ENDS_SOON_DAYS = 90
STALE_PRICE_DAYS = 180

# Some models take no cap below 16 tokens.
QUESTION = ChatRequest((said("user", "Say ok."),), max_tokens=16)

_LEFT_OUT = {
    Hurdle.RESIDENCY: "its residency is {residency}: prompts may leave {wanted}",
    Hurdle.NOT_YET: "the catalog says it is not available before {available_from}",
    Hurdle.ENDED: "the catalog says it ended on {end_of_life}: take it out",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A candidate that works."""

    latency_ms: float
    """Until the whole answer, the first connection included."""
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate that does not answer, with the way out."""

    refusal: Refusal
    advice: Advice


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A candidate that a deployment would never ask, and so was not."""

    why: str


type Outcome = Answered | Refused | LeftOut


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one candidate."""

    candidate: Candidate
    outcome: Outcome
    warnings: tuple[str, ...] = ()


def examine(
    catalog: Catalog,
    chat_model: ChatModel,
    *,
    today: date,
    priced: Mapping[str, date] | None = None,
    residency: Residency | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Ask the candidates side by side, one attempt each, and return a finding for each of them.

    Args:
        catalog: whom to ask.
        chat_model: asks them.
        today: decides which of them a deployment would ask at all.
        priced: the day each candidate's oldest price was read, where it is known.
        residency: where prompts must stay, as the deployment's setting says.
        timeout_seconds: for all of them together.
        monotonic: seconds that never jump.
    """
    needs = needs_of(QUESTION, today, residencies=() if residency is None else (residency,))
    left_out = {
        name: LeftOut(_why_left_out(hurdle, one, residency))
        for name, one in catalog.candidates.items()
        if (hurdle := find_lasting_hurdle(one, needs)) is not None
    }
    asked = [one for name, one in catalog.candidates.items() if name not in left_out]
    outcomes: dict[str, Outcome] = {
        **left_out,
        **_ask_all(asked, chat_model, timeout_seconds, monotonic),
    }
    return [
        Finding(one, outcomes[name], tuple(_warnings(one, (priced or {}).get(name), today)))
        for name, one in catalog.candidates.items()
    ]


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Tell whether somebody answered and nobody who was asked failed."""
    outcomes = [finding.outcome for finding in findings]
    failed = any(isinstance(outcome, Refused) for outcome in outcomes)
    return not failed and any(isinstance(outcome, Answered) for outcome in outcomes)


def _ask_all(
    candidates: Sequence[Candidate],
    chat_model: ChatModel,
    timeout_seconds: float,
    monotonic: Callable[[], float],
) -> dict[str, Outcome]:
    """Ask all at once; who has not answered when the time is over is not waited for."""
    arrived: dict[str, Outcome] = {}

    def ask(candidate: Candidate) -> None:
        arrived[candidate.name] = _ask(candidate, chat_model, timeout_seconds, monotonic)

    # Daemons: a connection that hangs must not keep the command from ending.
    threads = [Thread(target=ask, args=(one,), daemon=True) for one in candidates]
    deadline = monotonic() + timeout_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    return {one.name: arrived.get(one.name) or _refused(TimeoutError(), one) for one in candidates}


def _ask(
    candidate: Candidate,
    chat_model: ChatModel,
    timeout_seconds: float,
    monotonic: Callable[[], float],
) -> Outcome:
    began = monotonic()
    try:
        answer = fold(chat_model.stream(candidate, QUESTION, timeout_seconds=timeout_seconds))
    # Whatever went wrong is a finding, and nothing may end a thread without one.
    except Exception as error:
        return _refused(error, candidate)
    usage = answer.usage
    cost = candidate.cost_usd(
        usage.input,
        usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    return Answered(1000 * (monotonic() - began), usage, cost)


def _refused(error: Exception, candidate: Candidate) -> Refused:
    refusal = refusal_of(error)
    return Refused(refusal, advise(refusal, candidate))


def _why_left_out(hurdle: Hurdle, candidate: Candidate, wanted: Residency | None) -> str:
    """Return in words what would keep a deployment from asking this candidate."""
    return _LEFT_OUT.get(hurdle, f"it cannot take a short question: {hurdle}").format(
        residency=candidate.residency,
        wanted=wanted,
        available_from=candidate.available_from,
        end_of_life=candidate.end_of_life,
    )


def _warnings(candidate: Candidate, priced: date | None, today: date) -> list[str]:
    """Return what will need a person soon, told by the catalog alone."""
    warnings = []
    ends = candidate.end_of_life
    if ends is not None and today < ends <= today + timedelta(ENDS_SOON_DAYS):
        days = (ends - today).days
        warnings.append(f"it ends on {ends}, in {days} days: choose another model before")
    if priced is not None and (today - priced).days > STALE_PRICE_DAYS:
        warnings.append(f"its oldest price is of {priced}: read the price list again")
    return warnings
