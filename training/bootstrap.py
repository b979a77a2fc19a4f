"""The first router of a deployment: what to ask within a cap, asking it, and what may go live."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from regroup.artifact import Manifest
from regroup.domain.catalog import Catalog
from regroup.errors import DataError, PointerConflictError, ReleaseRefusedError, StoreError
from regroup.ports import ChatModel, ObjectStore
from training.catalogs import only
from training.collect import Budget, Collected, Collector, Question, most_usd
from training.doctor import QUESTION
from training.embeddings import Progress
from training.gate import FEWEST_TO_LEARN
from training.paid_rows import PaidRows
from training.prompts import generate, is_correct
from training.publish import find_pointer, manifest_of, publish
from training.train import Trained

MOST_PROMPTS = 2_000
"""Prompts that are asked unless more are wanted: `make bench-power` shows that so many find a gain
of three points nearly always."""

LOOK = Question(id="look", text=QUESTION.turns[0].text, answer="")
"""What all are asked first: who does not answer would leave a gap in every row."""

QUESTIONS_AT_ONCE = 3
"""Each is asked of all candidates at the same time, so a row is whole soon."""

_BEST_SINGLE = "best-single"

_NO_TAG = '"never"'
"""The tag of no object."""

_SPARE = 1.1
"""How many times the fewest prompts a budget should hold: some answers fail."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and what it may cost."""

    questions: tuple[Question, ...]
    certain: int
    """So many from the first on are paid for by the cap, however long the answers are."""
    most_usd: float
    """What all of them cost at the most, and `LOOK` before them."""


def make_plan(
    catalog: Catalog, languages: Sequence[str], limit_usd: float, n: int | None = None
) -> Plan:
    """Choose the bundled prompts to ask; the same arguments give the same plan.

    Args:
        catalog: whom to ask.
        languages: `en`, `ja` or both.
        limit_usd: the cap.
        n: how many prompts; by default as many as the cap is certain to pay for, and not more than
            `MOST_PROMPTS`.

    Raises:
        DataError: too few to judge a router by; it names the budget that would do.
    """
    if not math.isfinite(limit_usd):
        raise DataError(f"the budget is {limit_usd} USD: no cap is no budget, give an amount")
    if n is not None and n < FEWEST_TO_LEARN:
        raise DataError(
            f"{n} prompts are too few to judge a router by: at least {FEWEST_TO_LEARN} are needed"
        )
    questions = [
        Question(
            id=one.id,
            text=one.text,
            answer=one.answer,
            dataset=one.category,
            language=one.language,
        )
        for one in generate(n or MOST_PROMPTS, languages, seed=0)
    ]
    look = cost_usd(LOOK, catalog)
    costs = [cost_usd(question, catalog) for question in questions]
    certain = _paid_for(costs, limit_usd - look)
    if certain < FEWEST_TO_LEARN:
        enough = math.ceil(100 * (look + sum(costs[: round(_SPARE * FEWEST_TO_LEARN)]))) / 100
        raise DataError(
            f"{limit_usd:g} USD are certain to pay for {certain} prompts, and a router is judged by"
            f" at least {FEWEST_TO_LEARN}: give --budget-usd {enough:.2f} (usually far less is"
            " spent), or fewer --candidates"
        )
    asked = certain if n is None else n
    return Plan(tuple(questions[:asked]), min(certain, asked), look + sum(costs[:asked]))


def cost_usd(question: Question, catalog: Catalog) -> float:
    """Return what asking every candidate this question costs at the most."""
    return sum(most_usd(question.text, one) for one in catalog.candidates.values())


def ask(
    questions: Sequence[Question],
    catalog: Catalog,
    paid: PaidRows,
    *,
    chat_model: ChatModel,
    budget: Budget,
    sleep: Callable[[float], None],
    progress: Progress = lambda _done, _all: None,
) -> Collected:
    """Ask who has not answered yet; every row is kept in `paid` as soon as its answers are there.

    An interruption (KeyboardInterrupt) ends it once the questions under way are answered and kept.
    """
    collector = Collector(
        chat_model, is_correct, budget, sleep, workers=max(1, len(catalog.candidates))
    )

    def answered(question: Question) -> Collected:
        collected = collector.collect([question], only(catalog, paid.missing(question)))
        paid.keep(collected.rows[0])
        return collected

    wanted = [question for question in questions if paid.missing(question)]
    parts = []
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        futures = [pool.submit(answered, question) for question in wanted]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                parts.append(future.result())
                progress(done, len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    causes = sum((Counter(part.causes) for part in parts), Counter[str]())
    return Collected(
        rows=tuple(row for part in parts for row in part.rows),
        spent_usd=budget.spent_usd,
        failures=sum(part.failures for part in parts),
        over_budget=sum(part.over_budget for part in parts),
        causes=causes,
    )


def check_writable(store: ObjectStore, key: str) -> None:
    """Ask the store for a write that it will not do: it is refused before money is spent.

    Raises:
        StoreError: there is no such bucket, or one may not write to it.
    """
    try:
        with suppress(PointerConflictError):
            store.replace(key, b"", tag=_NO_TAG)
    except StoreError as error:
        raise StoreError(
            f"{error}: the pointer may be written by the publisher's role alone, see"
            " --publisher-role, and its bucket must be there"
        ) from error


def find_live(store: ObjectStore, pointer_key: str) -> Manifest | None:
    """Return the manifest of what is live, or None where nothing is.

    Raises:
        ArtifactError: the pointer or what it names is broken.
        StoreError: the store did not answer.
    """
    pointer = find_pointer(store, pointer_key)[1]
    return None if pointer is None else manifest_of(store, pointer.champion)


def release(
    trained: Trained, folder: Path, store: ObjectStore, pointer_key: str, *, who: str, why: str
) -> tuple[bool, str]:
    """Publish what training wrote, if it may go live; tell whether it is live, and say it in words.

    The best single candidate may always go live, but it takes no learned router's place by itself.

    Raises:
        RegroupError: see `publish`.
    """
    best_single = trained.manifest.router == _BEST_SINGLE
    live = find_live(store, pointer_key)
    if best_single and live is not None and live.router != _BEST_SINGLE:
        return False, (
            "not published: a learned router is live and stays so; `regroup publish` puts"
            f" {folder} in its place if you want that"
        )
    try:
        publish(folder, store, pointer_key, who=who, why=why)
    except ReleaseRefusedError as refusal:
        return False, f"{refusal}; what was live stays live"
    if not best_single:
        return True, f"published: the learned router {trained.digest} is live"
    return True, (
        f"published: routing is not shown to pay, so always {trained.manifest.default_candidate} is"
        " what goes live; the deployment serves as it did, and its log teaches the next router"
    )


def _paid_for(costs: Sequence[float], limit_usd: float) -> int:
    total = 0.0
    for number, cost in enumerate(costs):
        total += cost
        if total > limit_usd:
            return number
    return len(costs)
