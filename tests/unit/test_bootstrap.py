"""The plan under a cap, the asking that nothing interrupts at a loss, and what may go live."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.object_store import FolderStore
from regroup.artifact import AgainstChampion, Verdict, write_artifact
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage
from regroup.domain.pointer import read_pointer
from regroup.errors import DataError, StoreError, UpstreamDeniedError
from tests.local.small_artifact import small_artifact
from tests.local.stack import CATALOG
from training.bootstrap import (
    LOOK,
    MOST_PROMPTS,
    ask,
    check_writable,
    cost_usd,
    find_live,
    make_plan,
    release,
)
from training.catalogs import only
from training.collect import Budget, Question
from training.gate import FEWEST_TO_LEARN
from training.paid_rows import PaidRows
from training.train import Trained

SHIPPED = read_catalog(CATALOG.read_bytes(), place="catalog")
TWO = only(SHIPPED, ["haiku", "nova-lite"])
POINTER = "pointer.json"
NO = Verdict(False, "do not route: use a (gain -1.0 points)", -0.01, -0.02, 0.005)
QUESTIONS = [Question(id=str(n), text=f"What is {n} + 1?", answer=str(n + 1)) for n in range(12)]


@settings(max_examples=10)
@given(limit_usd=st.floats(0.33, 3.0))
def test_a_plan_is_paid_for_by_its_cap_and_could_not_be_larger(limit_usd: float) -> None:
    plan = make_plan(TWO, ["en", "ja"], limit_usd)

    assert FEWEST_TO_LEARN <= len(plan.questions) <= MOST_PROMPTS
    assert plan.certain == len(plan.questions)
    assert plan.most_usd <= limit_usd
    if len(plan.questions) < MOST_PROMPTS:
        longer = make_plan(TWO, ["en", "ja"], 10.0, len(plan.questions) + 1)
        assert longer.most_usd > limit_usd
        assert longer.questions[:-1] == plan.questions


def test_the_plan_covers_both_languages_and_every_question_has_its_answer() -> None:
    plan = make_plan(TWO, ["ja", "en"], 10.0, 300)

    assert [sum(q.language == code for q in plan.questions) for code in ("en", "ja")] == [150, 150]
    assert all(question.answer and question.dataset != "all" for question in plan.questions)


def test_more_prompts_than_the_cap_is_certain_to_pay_for_may_be_wanted() -> None:
    plan = make_plan(TWO, ["en"], 0.4, 600)

    assert len(plan.questions) == 600
    assert FEWEST_TO_LEARN <= plan.certain < 600
    assert plan.most_usd > 0.4


@pytest.mark.parametrize("limit_usd", [0.0, 0.001, 0.1, 0.3])
def test_a_cap_too_small_to_judge_by_is_told_with_one_that_would_do(limit_usd: float) -> None:
    with pytest.raises(DataError, match=f"at least {FEWEST_TO_LEARN}: give --budget-usd") as told:
        make_plan(TWO, ["en", "ja"], limit_usd)
    enough = float(str(told.value).split("--budget-usd ")[1].split()[0])
    assert make_plan(TWO, ["en", "ja"], enough).certain > FEWEST_TO_LEARN


@pytest.mark.parametrize("limit_usd", [float("inf"), float("nan")])
def test_a_cap_that_caps_nothing_is_refused(limit_usd: float) -> None:
    with pytest.raises(DataError, match="no cap is no budget"):
        make_plan(TWO, ["en"], limit_usd)


def test_fewer_prompts_than_a_router_is_judged_by_are_refused() -> None:
    with pytest.raises(DataError, match="299 prompts are too few"):
        make_plan(TWO, ["en"], 10.0, 299)


class Calculator:
    """Adds one; fails or is interrupted where a test says so."""

    def __init__(self, *, interrupted_after: int | None = None, denied: str = "") -> None:
        self.asked: list[tuple[str, str]] = []
        self.denied = denied
        self._interrupted_after = interrupted_after
        self._lock = Lock()

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        text = request.turns[0].text
        with self._lock:
            if len(self.asked) == self._interrupted_after:
                raise KeyboardInterrupt
            self.asked.append((candidate.name, text))
        if candidate.name == self.denied:
            raise UpstreamDeniedError("closed")
        yield TextDelta(str(int(text.split()[2]) + 1))
        yield Stop("stop")
        yield Metered(Usage(input=10, output=3))


def asking(model: Calculator, paid: PaidRows, limit_usd: float = 1.0) -> Any:
    budget = Budget(limit_usd, paid.spent_usd)
    return ask(QUESTIONS, TWO, paid, chat_model=model, budget=budget, sleep=lambda _seconds: None)


@pytest.fixture
def paid(tmp_path: Path) -> PaidRows:
    return PaidRows(tmp_path / "labelled.jsonl", TWO.names)


def test_everybody_is_asked_everything_and_each_answer_is_kept(paid: PaidRows) -> None:
    model = Calculator()
    collected = asking(model, paid)

    assert sorted(model.asked) == sorted((name, q.text) for name in TWO.names for q in QUESTIONS)
    assert (paid.scored, collected.failures, collected.over_budget) == (12, 0, 0)
    assert collected.spent_usd == pytest.approx(paid.spent_usd)


@pytest.mark.parametrize("interrupted_after", [0, 1, 7, 20])
def test_an_interruption_loses_no_answer_and_the_next_run_asks_for_the_rest_alone(
    interrupted_after: int, paid: PaidRows
) -> None:
    first = Calculator(interrupted_after=interrupted_after)
    with pytest.raises(KeyboardInterrupt):
        asking(first, paid)
    second = Calculator()
    asking(second, PaidRows(paid.path, TWO.names))

    kept = PaidRows(paid.path, TWO.names)
    assert kept.scored == len(QUESTIONS)
    # The row that was broken off is asked anew; all that came whole is not.
    again = set(first.asked) & set(second.asked)
    assert len(again) <= 2 * len(TWO.names)


def test_who_failed_alone_is_asked_again(paid: PaidRows) -> None:
    collected = asking(Calculator(denied="nova-lite"), paid)
    assert (paid.scored, len(paid)) == (0, 12)
    assert collected.causes == {"nova-lite: denied": 12}

    second = Calculator()
    asking(second, paid)
    assert {name for name, _ in second.asked} == {"nova-lite"}
    assert paid.scored == 12


def test_the_cap_holds_over_two_runs(paid: PaidRows) -> None:
    limit_usd = 3 * cost_usd(QUESTIONS[0], TWO)
    asking(Calculator(), paid, limit_usd)
    asking(Calculator(), PaidRows(paid.path, TWO.names), limit_usd)

    assert PaidRows(paid.path, TWO.names).spent_usd <= limit_usd


def test_progress_reaches_what_was_missing(paid: PaidRows) -> None:
    asking(Calculator(denied="haiku"), paid)
    told: list[tuple[int, int]] = []
    ask(
        QUESTIONS,
        TWO,
        paid,
        chat_model=Calculator(),
        budget=Budget(1.0),
        sleep=lambda _seconds: None,
        progress=lambda done, all_: told.append((done, all_)),
    )
    assert told[-1] == (12, 12)


class Closed(FolderStore):
    """A bucket that nobody may write to."""

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        raise StoreError("S3 refused to write")


def test_a_store_that_takes_no_write_is_told_and_one_that_does_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    check_writable(FolderStore(tmp_path), POINTER)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / POINTER).write_text("live")
    check_writable(FolderStore(tmp_path), POINTER)
    assert (tmp_path / POINTER).read_text() == "live"
    with pytest.raises(StoreError, match=r"refused to write: .* see --publisher-role"):
        check_writable(Closed(tmp_path), POINTER)


class Shop:
    """A store, and artifacts as training would leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FolderStore(folder / "store")

    def trained(self, name: str, **changes: Any) -> tuple[Trained, Path]:
        manifest, parts = small_artifact()
        manifest = replace(manifest, **changes)
        digest = write_artifact(self.folder / name, manifest, parts)
        return Trained(digest, manifest), self.folder / name

    def release(self, name: str, **changes: Any) -> tuple[bool, str]:
        trained, folder = self.trained(name, **changes)
        return release(trained, folder, self.store, POINTER, who="ann", why="first")

    def live(self) -> str | None:
        manifest = find_live(self.store, POINTER)
        return None if manifest is None else manifest.router


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_router_that_pays_goes_live(shop: Shop) -> None:
    assert shop.live() is None
    is_live, said = shop.release("new")
    assert is_live
    assert "published: the learned router" in said
    assert shop.live() == "ridge-cluster"


def test_where_routing_does_not_pay_the_best_single_goes_live_and_it_is_said_plainly(
    shop: Shop,
) -> None:
    is_live, said = shop.release("new", router="best-single", verdict=NO)
    assert is_live
    assert "routing is not shown to pay, so always a is what goes live" in said
    assert shop.live() == "best-single"


def test_the_best_single_takes_no_learned_routers_place(shop: Shop) -> None:
    shop.release("old")
    is_live, said = shop.release("new", router="best-single", verdict=NO)
    assert not is_live
    assert "a learned router is live and stays so; `regroup publish`" in said
    assert shop.live() == "ridge-cluster"


def test_the_best_single_may_follow_another(shop: Shop) -> None:
    shop.release("old", router="best-single", verdict=NO)
    assert shop.release("new", router="best-single", verdict=NO, data_sha256="1" * 64)[0]


@pytest.mark.parametrize(("low", "goes_live"), [(0.0, True), (-0.2, False)])
def test_a_learned_router_must_keep_up_with_what_is_live(
    low: float, goes_live: bool, shop: Shop
) -> None:
    shop.release("old")
    champion = read_pointer(shop.store.read(POINTER).content).champion
    against = AgainstChampion(champion, 0.01, low, 0.1, rows=400)
    is_live, said = shop.release("new", against_champion=against, data_sha256="1" * 64)

    assert is_live == goes_live
    assert ("what was live stays live" in said) != goes_live


def test_the_look_is_the_question_of_the_doctor() -> None:
    assert 0 < cost_usd(LOOK, SHIPPED) < 0.01
