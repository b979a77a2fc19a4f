"""Labelled rows that outlive an interruption: each lies in the file once its answers are there."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from regroup.domain.catalog import Catalog
from regroup.errors import DataError
from training.collect import Question, write_rows

type Row = Mapping[str, Any]
"""A row of labelled data, as `Collector` makes it."""

_BY_CANDIDATE = ("scores", "cost_usd", "output_tokens")


def file_name(catalog: Catalog, languages: Iterable[str]) -> str:
    """Name the file after who is asked in which languages: answers of others are not mixed in."""
    asked = [(name, one.model_id) for name, one in sorted(catalog.candidates.items())]
    identity = json.dumps([asked, sorted(languages)])
    return f"labelled-{sha256(identity.encode()).hexdigest()[:12]}.jsonl"


class PaidRows:
    """The rows of one file, by the id of their question; each was paid for."""

    def __init__(self, path: Path, candidates: Sequence[str]) -> None:
        """Read what lies at `path`, if anything does.

        Raises:
            DataError: it cannot be read.
        """
        self.path = path
        self._candidates = tuple(candidates)
        self._lock = Lock()
        self._rows = {row["id"]: row for row in _read(path)}

    def __len__(self) -> int:
        """Count the questions that somebody answered."""
        return len(self._rows)

    @property
    def spent_usd(self) -> float:
        """What all the answers cost."""
        costs = (row["cost_usd"].values() for row in self._rows.values())
        return math.fsum(cost for each in costs for cost in each if cost is not None)

    @property
    def scored(self) -> int:
        """The questions that every candidate answered."""
        return sum(not self._gaps(row) for row in self._rows.values())

    def missing(self, question: Question) -> tuple[str, ...]:
        """Return who has not answered a question yet."""
        row = self._rows.get(question.id)
        # Other versions of the prompts may give an id to another text.
        if row is None or row["text"] != question.text:
            return self._candidates
        return self._gaps(row)

    def keep(self, row: Row) -> None:
        """Add what a row holds, on disk at once; a row without any answer is not kept."""
        if all(score is None for score in row["scores"].values()):
            return
        with self._lock:
            before = self._rows.get(row["id"])
            whole = row if before is None or before["text"] != row["text"] else _join(before, row)
            self._rows[row["id"]] = whole
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(whole, ensure_ascii=False) + "\n")

    def settle(self, questions: Sequence[Question]) -> None:
        """Write the file anew: a row each, in the order of the questions, others after them."""
        place: dict[Any, int] = {question.id: at for at, question in enumerate(questions)}
        last = len(questions)
        write_rows(
            sorted(self._rows.values(), key=lambda row: place.get(row["id"], last)), self.path
        )

    def _gaps(self, row: Row) -> tuple[str, ...]:
        return tuple(name for name in self._candidates if row["scores"].get(name) is None)


def _read(path: Path) -> list[Row]:
    """Return the rows of a file, and mend it where its last line was cut off in writing."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: move it away, or name another --out") from error
    rows = [row for line in text.split("\n") if (row := _row(line)) is not None]
    if text and not text.endswith("\n"):
        write_rows(rows, path)
    return rows


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= {"id", "text", *_BY_CANDIDATE} else None


def _join(before: Row, after: Row) -> Row:
    return {**before, **{field: {**before[field], **after[field]} for field in _BY_CANDIDATE}}
