"""The doctor: who is asked, what each finding says, and what the catalog alone gives away."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import chain, repeat
from threading import Event

import pytest

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Candidate, Catalog, Residency
from regroup.domain.chat import ChatEvent, ChatRequest
from regroup.errors import UpstreamThrottledError
from tests.local.fakes import ANSWER, USAGE, FakeChatModel, FakeClock, Wait
from tests.local.stack import CATALOG
from training.cures import Advice, Refusal
from training.doctor import (
    ENDS_SOON_DAYS,
    STALE_PRICE_DAYS,
    Answered,
    Finding,
    LeftOut,
    Outcome,
    Refused,
    examine,
    is_healthy,
)

SHIPPED = read_catalog(CATALOG.read_bytes(), place="catalog")
HAIKU = SHIPPED.candidates["haiku"]
TODAY = date(2026, 11, 28)
ONE = Catalog({"haiku": HAIKU})


def outcomes(findings: list[Finding]) -> dict[str, Outcome]:
    return {finding.candidate.name: finding.outcome for finding in findings}


def changed(**changes: object) -> Catalog:
    return Catalog({"haiku": replace(HAIKU, **changes)})  # type: ignore[arg-type]


def test_every_candidate_is_asked_once_for_a_few_tokens() -> None:
    model = FakeChatModel(FakeClock())
    findings = examine(SHIPPED, model, today=TODAY)

    assert sorted(model.asked) == sorted(SHIPPED.names)
    assert {call.request.max_tokens for call in model.calls} == {16}
    assert [finding.candidate.name for finding in findings] == list(SHIPPED.names)
    assert is_healthy(findings)


def test_an_answer_is_timed_and_priced_with_its_cached_tokens() -> None:
    clock = FakeClock()
    model = FakeChatModel(clock)
    model.plan("haiku", [Wait(0.25), *ANSWER])
    [finding] = examine(ONE, model, today=TODAY, monotonic=lambda: clock.monotonic)

    cost = HAIKU.cost_usd(10, 20, cache_read_tokens=3, cache_write_tokens=4)
    assert finding.outcome == Answered(250.0, USAGE, cost)


def test_one_that_fails_keeps_no_other_from_answering() -> None:
    model = FakeChatModel(FakeClock())
    model.plan("sonnet", [UpstreamThrottledError("sonnet: ThrottlingException")])
    findings = examine(SHIPPED, model, today=TODAY)

    refused = [one for one, outcome in outcomes(findings).items() if isinstance(outcome, Refused)]
    assert refused == ["sonnet"]
    assert model.asked.count("sonnet") == 1
    assert not is_healthy(findings)


class Hanging:
    """Answers nobody until it is let go."""

    def __init__(self) -> None:
        self.go = Event()

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        self.go.wait(timeout=30)
        yield from ANSWER


def test_one_that_hangs_is_not_waited_for() -> None:
    model = Hanging()
    times = chain([0.0], repeat(20.0))
    try:
        [finding] = examine(ONE, model, today=TODAY, monotonic=lambda: next(times))
    finally:
        model.go.set()
    assert isinstance(finding.outcome, Refused)
    assert finding.outcome.refusal.code == "TimeoutError"
    assert "no answer came in time" in finding.outcome.advice.cause


@pytest.mark.parametrize(
    ("catalog", "residency", "why"),
    [
        (changed(residency="us"), "jp", "its residency is us: prompts may leave jp"),
        (changed(available_from=TODAY + timedelta(1)), None, "not available before 2026-11-29"),
        (changed(end_of_life=TODAY), None, "it ended on 2026-11-28"),
        (changed(context_tokens=1), None, "cannot take a short question: context_window"),
    ],
)
def test_whom_a_deployment_would_never_ask_is_left_out_and_not_asked(
    catalog: Catalog, residency: Residency | None, why: str
) -> None:
    model = FakeChatModel(FakeClock())
    [finding] = examine(catalog, model, today=TODAY, residency=residency)

    assert isinstance(finding.outcome, LeftOut)
    assert why in finding.outcome.why
    assert model.asked == []


@pytest.mark.parametrize(
    ("days", "warned"),
    [(1, True), (ENDS_SOON_DAYS, True), (ENDS_SOON_DAYS + 1, False), (0, False), (-1, False)],
)
def test_an_end_within_ninety_days_is_warned_of(days: int, warned: bool) -> None:
    ends = TODAY + timedelta(days)
    [finding] = examine(changed(end_of_life=ends), FakeChatModel(FakeClock()), today=TODAY)

    assert any(f"it ends on {ends}, in {days} days" in line for line in finding.warnings) == warned


@pytest.mark.parametrize(
    ("days", "warned"), [(STALE_PRICE_DAYS + 1, True), (STALE_PRICE_DAYS, False), (0, False)]
)
def test_an_old_price_is_warned_of(days: int, warned: bool) -> None:
    read = TODAY - timedelta(days)
    [finding] = examine(ONE, FakeChatModel(FakeClock()), today=TODAY, priced={"haiku": read})

    assert any(f"its oldest price is of {read}" in line for line in finding.warnings) == warned


def test_the_shipped_llama_is_warned_of_from_the_end_of_2026_on() -> None:
    last_quiet, first_loud = date(2026, 12, 29), date(2026, 12, 30)
    for today, warned in ((last_quiet, False), (first_loud, True)):
        findings = examine(SHIPPED, FakeChatModel(FakeClock()), today=today)
        assert [one.candidate.name for one in findings if one.warnings] == ["llama-70b"] * warned


ANSWERED, OUT = Answered(1.0, USAGE, 0.0), LeftOut("elsewhere")
FAILED = Refused(Refusal("X"), Advice("a", "b", "c"))


@pytest.mark.parametrize(
    ("met", "healthy"),
    [
        ([ANSWERED], True),
        ([ANSWERED, OUT], True),
        ([OUT], False),
        ([], False),
        ([FAILED], False),
        ([ANSWERED, FAILED], False),
    ],
)
def test_it_is_well_where_somebody_answers_and_nobody_fails(
    met: list[Outcome], healthy: bool
) -> None:
    assert is_healthy([Finding(HAIKU, one) for one in met]) == healthy
