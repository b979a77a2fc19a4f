"""Asking the candidates: every answer scored, every gap counted, never beyond the budget."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage
from regroup.errors import DataError, UpstreamDeniedError, UpstreamError, UpstreamThrottledError
from tests.local.stack import CATALOG
from training.collect import (
    Budget,
    Collector,
    Question,
    estimate_usd,
    most_usd,
    read_questions,
    write_rows,
)
from training.dataset import read_dataset

CATALOG_CANDIDATES = read_catalog(CATALOG.read_bytes(), place="catalog")
QUESTIONS = [
    Question(id=str(n), text=f"What is {n} + 1?", answer=str(n + 1), dataset="sums")
    for n in range(20)
]


class Calculator:
    """Adds one; some candidates fail in the ways that a test gives them."""

    def __init__(self, faults: dict[str, list[UpstreamError]] | None = None) -> None:
        self.faults = faults or {}
        self.calls = 0

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        self.calls += 1
        if self.faults.get(candidate.name):
            raise self.faults[candidate.name].pop(0)
        number = int(request.turns[0].text.split()[2])
        right = candidate.name != "haiku" or number % 2 == 0
        yield TextDelta(str(number + 1 if right else number))
        yield Stop("stop")
        yield Metered(Usage(input=10, output=3))


class Breaking(Calculator):
    """Begins every answer and ends none."""

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        yield TextDelta("1")
        raise UpstreamDeniedError("gone")


def collector(model: Calculator, limit_usd: float = 10.0) -> tuple[Collector, list[float]]:
    pauses: list[float] = []
    made = Collector(
        chat_model=model,
        score=lambda known, given: known == given,
        budget=Budget(limit_usd),
        sleep=pauses.append,
        workers=4,
    )
    return made, pauses


def test_every_candidate_answers_every_question_and_is_scored() -> None:
    made, _ = collector(Calculator())
    collected = made.collect(QUESTIONS, CATALOG_CANDIDATES)
    assert [row["id"] for row in collected.rows] == [q.id for q in QUESTIONS]
    assert [row["scores"]["haiku"] for row in collected.rows[:4]] == [1.0, 0.0, 1.0, 0.0]  # type: ignore[index]
    assert all(row["scores"]["sonnet"] == 1.0 for row in collected.rows)  # type: ignore[index]
    assert (collected.failures, collected.over_budget) == (0, 0)
    each = [one.cost_usd(10, 3) for one in CATALOG_CANDIDATES.candidates.values()]
    assert collected.spent_usd == pytest.approx(len(QUESTIONS) * sum(each))


def test_a_throttled_candidate_is_asked_again_after_a_growing_pause() -> None:
    faults: dict[str, list[UpstreamError]] = {"sonnet": [UpstreamThrottledError() for _ in "12"]}
    made, pauses = collector(Calculator(faults))
    collected = made.collect(QUESTIONS[:1], CATALOG_CANDIDATES)
    assert pauses == [1.0, 2.0]
    assert collected.failures == 0


def test_an_answer_that_no_try_brings_is_a_gap() -> None:
    faults: dict[str, list[UpstreamError]] = {"llama-70b": [UpstreamDeniedError("no access")]}
    made, _ = collector(Calculator(faults))
    collected = made.collect(QUESTIONS[:1], CATALOG_CANDIDATES)
    assert collected.rows[0]["scores"]["llama-70b"] is None  # type: ignore[index]
    assert collected.failures == 1
    assert collected.causes == {"llama-70b: denied": 1}


def test_an_answer_that_broke_off_counts_as_spent() -> None:
    made, _ = collector(Breaking())
    collected = made.collect(QUESTIONS[:1], CATALOG_CANDIDATES)
    assert collected.spent_usd == pytest.approx(estimate_usd(QUESTIONS[:1], CATALOG_CANDIDATES))


@settings(max_examples=25)
@given(st.floats(0, 0.05))
def test_the_budget_is_never_exceeded_and_what_was_not_asked_is_counted(limit_usd: float) -> None:
    model = Calculator()
    made, _ = collector(model, limit_usd)
    collected = made.collect(QUESTIONS, CATALOG_CANDIDATES)
    assert collected.spent_usd <= limit_usd
    assert model.calls + collected.over_budget == len(QUESTIONS) * 4


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_call_never_costs_more_than_was_set_aside_for_it(text: str) -> None:
    for candidate in CATALOG_CANDIDATES.candidates.values():
        assert candidate.cost_usd(len(text), 256) <= most_usd(text, candidate) + 1e-12


def test_what_is_written_can_be_trained_on(tmp_path: Path) -> None:
    made, _ = collector(Calculator())
    path = tmp_path / "labelled.jsonl"
    write_rows(made.collect(QUESTIONS, CATALOG_CANDIDATES).rows, path)
    data = read_dataset(path)
    assert data.candidates == tuple(sorted(CATALOG_CANDIDATES.names))
    assert set(data.datasets.tolist()) == {"sums"}


@pytest.mark.parametrize(
    ("line", "named"),
    [("{", "line 2: the line"), ('{"id": "1", "text": "x"}', "line 2: answer: Field required")],
)
def test_a_broken_prompt_file_is_refused_with_its_line(
    tmp_path: Path, line: str, named: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(QUESTIONS[0].model_dump()) + "\n" + line + "\n")
    with pytest.raises(DataError, match=named):
        read_questions(path)


def test_a_missing_prompt_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        read_questions(tmp_path / "none.jsonl")
