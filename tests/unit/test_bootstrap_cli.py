"""`regroup bootstrap`: what is wrong for free is told before anything that costs."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage
from regroup.errors import (
    ArtifactCorruptError,
    ConfigurationError,
    DataError,
    UpstreamDeniedError,
)
from tests.local.stack import CATALOG
from training.bootstrap_cli import Workshop, bootstrap_app


class Model:
    """Answers the look of every candidate, but for those that a test denies; then never more."""

    def __init__(self, *denied: str) -> None:
        self.asked: list[str] = []
        self._denied = denied

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        self.asked.append(candidate.name)
        if candidate.name in self._denied or request.max_tokens != 16:
            raise UpstreamDeniedError("AccessDeniedException")
        yield TextDelta("ok")
        yield Stop("stop")
        yield Metered(Usage(input=5, output=1))


class Bench:
    """The command with its usual options, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.pointer = folder / "store" / "pointer.json"
        self.model = Model()

    def run(self, *words: str, stdin: str = "") -> Result:
        command = ["--catalog", str(CATALOG), "--to", f"file:{self.pointer}"]
        command += ["--out", str(self.out), "--language", "en", *words]
        workshop = Workshop(lambda: self.model, lambda: date(2026, 11, 28), lambda _seconds: None)
        return CliRunner().invoke(bootstrap_app, command, obj=workshop, input=stdin)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("--budget-usd", "0.5"), DataError, "give --budget-usd 1."),
        (("--budget-usd", "inf"), DataError, "no cap is no budget"),
        (("--budget-usd", "2", "--n", "299"), DataError, "299 prompts are too few"),
        (("--budget-usd", "2", "--language", "fr"), DataError, "fr"),
        (("--budget-usd", "2", "--candidates", "opus"), DataError, "no candidate 'opus'"),
        (
            ("--budget-usd", "2", "--to", "pointer.json"),
            ConfigurationError,
            "is not an object's address",
        ),
        (("--budget-usd", "2", "--catalog", "none.json"), DataError, "none.json cannot be read"),
    ],
)
def test_what_cannot_go_well_is_told_before_anybody_is_asked(
    words: tuple[str, ...], error: type[Exception], said: str, bench: Bench
) -> None:
    result = bench.run("--yes", *words)

    assert isinstance(result.exception, error)
    assert said in str(result.exception)
    assert bench.model.asked == []
    assert not bench.out.exists()


def test_a_broken_pointer_is_told_before_anybody_is_asked(bench: Bench) -> None:
    bench.pointer.parent.mkdir()
    bench.pointer.write_text("{}")

    assert isinstance(bench.run("--yes", "--budget-usd", "2").exception, ArtifactCorruptError)
    assert bench.model.asked == []


@pytest.mark.parametrize("stdin", ["n\n", "\n", ""])
def test_estimate_and_cap_come_first_and_without_a_yes_nobody_is_asked(
    stdin: str, bench: Bench
) -> None:
    result = bench.run("--budget-usd", "2", "--n", "300", stdin=stdin)

    assert result.exit_code == 1
    assert "asks haiku, sonnet, nova-lite, llama-70b 300 prompts each" in result.stdout
    assert "USD at the catalog's prices, cap 2.00 USD" in result.stdout
    assert bench.model.asked == []


def test_more_prompts_than_are_certain_to_be_paid_for_are_announced_as_such(bench: Bench) -> None:
    result = bench.run("--budget-usd", "1.5", "--n", "900")
    assert "the cap is certain to pay for 3" in result.stdout


def test_where_one_candidate_refuses_nothing_more_is_asked_and_the_cure_is_shown(
    bench: Bench,
) -> None:
    bench.model = Model("sonnet")
    result = bench.run("--budget-usd", "2", stdin="y\n")

    assert isinstance(result.exception, DataError)
    assert "cure what is above, or name those that answer with --candidates" in str(
        result.exception
    )
    assert "3 of 4 candidates answer, 1 refused" in result.stdout
    assert sorted(bench.model.asked) == ["haiku", "llama-70b", "nova-lite", "sonnet"]


def test_too_few_answers_are_no_router_and_the_way_on_is_named(bench: Bench) -> None:
    result = bench.run("--budget-usd", "2", "--n", "300", "--candidates", "haiku", "--yes")

    assert isinstance(result.exception, DataError)
    assert "every candidate answered 0 prompts, 300 are needed" in str(result.exception)
    assert "the same command asks for the rest" in str(result.exception)
    assert "haiku: denied (300 x)" in result.stdout
    assert not bench.pointer.exists()
