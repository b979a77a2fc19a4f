"""Ask every candidate every prompt, score the answers, and write labelled data."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from regroup.domain.catalog import Candidate, Catalog, count_scripts
from regroup.domain.chat import Answer, ChatRequest, fold, said
from regroup.errors import DataError, UpstreamError, UpstreamThrottledError
from regroup.ports import ChatModel
from training.embeddings import Progress

MAX_TOKENS = 256
"""Room for one answer; the prompts ask for the answer alone."""

_TRIES = 4
_FIRST_PAUSE_SECONDS = 1.0
_CALL_TIMEOUT_SECONDS = 30.0

type Score = Callable[[str, str], bool]
"""From the known answer and the given one to whether they agree."""


class Question(BaseModel):
    """A prompt with its known answer, one line of a prompt file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    text: str
    answer: str
    dataset: str = "all"
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Collected:
    """Labelled rows, what they cost and what is missing from them."""

    rows: tuple[dict[str, object], ...]
    spent_usd: float
    failures: int
    """Answers that no try brought; they are gaps in the rows."""
    over_budget: int
    """Answers not asked for, because they might have gone beyond the budget."""
    causes: Mapping[str, int]
    """How often each candidate failed and why, as `haiku: denied`."""


@dataclass(slots=True)
class Budget:
    """A hard cap: a call is made only if its dearest outcome still fits."""

    limit_usd: float
    spent_usd: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, most_usd: float) -> bool:
        """Set aside what a call may cost at the most; tell whether it fits."""
        with self._lock:
            if self.spent_usd + most_usd > self.limit_usd:
                return False
            self.spent_usd += most_usd
            return True

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Replace what was set aside by what the call cost."""
        with self._lock:
            # Rounding may leave a hair below nothing.
            self.spent_usd = max(0.0, self.spent_usd + cost_usd - reserved_usd)


@dataclass(slots=True)
class Collector:
    """Asks candidates side by side, within one budget."""

    chat_model: ChatModel
    score: Score
    budget: Budget
    sleep: Callable[[float], None]
    workers: int = 8

    def collect(
        self,
        questions: Sequence[Question],
        catalog: Catalog,
        *,
        progress: Progress = lambda _done, _all: None,
    ) -> Collected:
        """Return a labelled row for every question, in order; an answer that failed is a gap."""
        jobs = [(q, one) for q in questions for one in catalog.candidates.values()]
        results: list[_Result] = []
        with ThreadPoolExecutor(max_workers=self.workers) as pool:
            for done, result in enumerate(pool.map(self._ask, jobs), start=1):
                results.append(result)
                progress(done, len(jobs))
        width = len(catalog.candidates)
        rows = tuple(
            _row(question, catalog.names, results[i * width : (i + 1) * width])
            for i, question in enumerate(questions)
        )
        return Collected(
            rows=rows,
            spent_usd=self.budget.spent_usd,
            failures=sum(result.cause is not None for result in results),
            over_budget=sum(result.unaffordable for result in results),
            causes=Counter(result.cause for result in results if result.cause),
        )

    def _ask(self, job: tuple[Question, Candidate]) -> "_Result":
        question, candidate = job
        reserved = most_usd(question.text, candidate)
        if not self.budget.reserve(reserved):
            return _Result(unaffordable=True)
        answer, billed = self._try(question, candidate)
        if isinstance(answer, UpstreamError):
            # What broke off was billed up to there: all that was set aside counts as spent.
            self.budget.settle(reserved, reserved if billed else 0.0)
            return _Result(cause=f"{candidate.name}: {answer.cause}")
        usage = answer.usage
        cost = candidate.cost_usd(
            usage.input,
            usage.output,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
        )
        self.budget.settle(reserved, cost)
        reward = 1.0 if self.score(question.answer, answer.text) else 0.0
        return _Result(reward=reward, cost_usd=cost, output_tokens=usage.output)

    def _try(self, question: Question, candidate: Candidate) -> tuple[Answer | UpstreamError, bool]:
        """Return the answer, or why none came, and whether anything was billed."""
        failure: UpstreamError = UpstreamThrottledError()
        request = ChatRequest((said("user", question.text),), max_tokens=MAX_TOKENS)
        for number in range(_TRIES):
            events = self.chat_model.stream(
                candidate, request, timeout_seconds=_CALL_TIMEOUT_SECONDS
            )
            try:
                first = next(events)
            except UpstreamThrottledError as error:
                failure = error
                self.sleep(_FIRST_PAUSE_SECONDS * 2**number)
                continue
            except UpstreamError as error:
                return error, False
            try:
                return fold(chain([first], events)), True
            except UpstreamError as error:
                return error, True
        return failure, False


def most_usd(text: str, candidate: Candidate) -> float:
    """Return what asking this candidate may cost at the most.

    Tokens of the prompt are counted as characters, which no tokenizer exceeds by much.
    """
    prompt = max(len(text), candidate.estimate_tokens(count_scripts(text)))
    return candidate.cost_usd(prompt, min(MAX_TOKENS, candidate.max_output_tokens))


def estimate_usd(questions: Iterable[Question], catalog: Catalog) -> float:
    """Return what asking every candidate every question costs at the most."""
    return sum(
        most_usd(question.text, candidate)
        for question in questions
        for candidate in catalog.candidates.values()
    )


def read_questions(path: Path) -> list[Question]:
    """Read a prompt file: JSON lines with `id`, `text` and `answer`.

    Raises:
        DataError: naming the file, the line and what is wrong.
    """
    questions = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a prompt file") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(Question.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            raise DataError(f"{path}, line {number}: {where}: {first['msg']}") from error
    if not questions:
        raise DataError(f"{path} holds no prompts")
    return questions


def write_rows(rows: Iterable[Mapping[str, object]], path: Path) -> None:
    """Write labelled data as JSON lines; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.part")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    waiting.write_text(text, encoding="utf-8")
    waiting.replace(path)


@dataclass(frozen=True, slots=True)
class _Result:
    reward: float | None = None
    cost_usd: float | None = None
    output_tokens: float | None = None
    cause: str | None = None
    unaffordable: bool = False


def _row(question: Question, names: Sequence[str], results: Sequence[_Result]) -> dict[str, object]:
    by_name = dict(zip(names, results, strict=True))
    return {
        "id": question.id,
        "text": question.text,
        "dataset": question.dataset,
        "language": question.language,
        "scores": {name: result.reward for name, result in by_name.items()},
        "cost_usd": {name: result.cost_usd for name, result in by_name.items()},
        "output_tokens": {name: result.output_tokens for name, result in by_name.items()},
    }
