"""Read labelled data: queries with the reward that each candidate's answer earned."""

import gzip
import json
import math
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pyarrow import ArrowException, parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regroup.domain.query import query_from_text
from regroup.errors import DataError
from training.logged import LoggedDecision

type Matrix = NDArray[np.float64]

type _Amounts = dict[str, Annotated[float, Field(ge=0)] | None]

CHARS_PER_TOKEN = 4.0
"""Turns the length of an answer in characters into tokens where the data counts none."""

_NOBODY = ""
_PARQUET_ROWS = 4_096
_BY_CANDIDATE = ("scores", "cost_usd", "output_tokens", "answer_chars")
_ENCODE = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


class Row(BaseModel):
    """One line of labelled data."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    id: str
    text: str
    scores: dict[str, float | None] = Field(min_length=1)
    cost_usd: _Amounts = Field(default_factory=dict)
    output_tokens: _Amounts = Field(default_factory=dict)
    answer_chars: _Amounts = Field(default_factory=dict)
    dataset: str = "all"
    split: str = "train"
    decision: LoggedDecision | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled data as arrays; a gap is NaN."""

    texts: tuple[str, ...]
    """The queries, as the classifier would build them from the same prompts."""
    candidates: tuple[str, ...]
    rewards: Matrix
    """(rows, candidates), in [0, 1]"""
    cost_usd: Matrix
    """(rows, candidates)"""
    output_tokens: Matrix
    """(rows, candidates)"""
    datasets: NDArray[np.str_]
    """(rows,) where each row comes from"""
    splits: NDArray[np.str_]
    """(rows,)"""
    sha256: str
    """Digest of the rows used, in their order."""
    decided: NDArray[np.intp] | None = None
    """(rows,) column of the candidate that a logged decision chose, where its reward is known;
    -1 elsewhere. None where no row was logged."""
    propensities: NDArray[np.float64] | None = None
    """(rows,) probability of that choice; NaN where there is none, and where some candidate had no
    chance: nothing can be judged by such a row, though it is learned from"""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.texts)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Dataset":
        """Return the rows of a mask or an index."""
        index = np.arange(len(self))[rows]
        digest = sha256(self.sha256.encode() + index.tobytes()).hexdigest()
        return Dataset(
            texts=tuple(self.texts[i] for i in index),
            candidates=self.candidates,
            rewards=self.rewards[index],
            cost_usd=self.cost_usd[index],
            output_tokens=self.output_tokens[index],
            datasets=self.datasets[index],
            splits=self.splits[index],
            sha256=digest,
            decided=None if self.decided is None else self.decided[index],
            propensities=None if self.propensities is None else self.propensities[index],
        )

    def without(self, columns: NDArray[np.intp]) -> "Dataset":
        """Return the same rows, with some candidates left out.

        Logged decisions for them are left out with them.
        """
        kept = np.setdiff1d(np.arange(len(self.candidates)), columns)
        place = np.full(len(self.candidates) + 1, -1)  # the last one stands for nobody
        place[kept] = np.arange(len(kept))
        decided = None if self.decided is None else place[self.decided]
        propensities = self.propensities
        if decided is not None and propensities is not None:
            propensities = np.where(decided >= 0, propensities, np.nan)
        return replace(
            self,
            candidates=tuple(self.candidates[c] for c in kept),
            rewards=self.rewards[:, kept],
            cost_usd=self.cost_usd[:, kept],
            output_tokens=self.output_tokens[:, kept],
            decided=decided,
            propensities=propensities,
        )

    def split(self, name: str) -> "Dataset":
        """Return the rows of one split.

        Raises:
            DataError: there are none.
        """
        mask = self.splits == name
        if not mask.any():
            found = ", ".join(sorted(set(self.splits.tolist())))
            raise DataError(f"no row has split {name!r}; the data has: {found}")
        return self.take(mask)


def read_dataset(path: Path, *, hash_id: Callable[[str], int] = hash) -> Dataset:
    """Read `*.jsonl`, `*.jsonl.gz` or `*.parquet`, one row at a time.

    Args:
        path: the file; it is read again where two rows seem to share an id.
        hash_id: what is kept of each id. Some may share a hash: the file then tells them apart.

    Raises:
        DataError: with the file, the line and what is wrong there.
    """
    columns = _Columns()
    digest = sha256()
    seen: set[int] = set()
    for place, row in read_rows(path):
        identity = hash_id(row.id)
        if identity in seen:
            _refuse_second(path, place, row.id)
        seen.add(identity)
        columns.append(row)
        digest.update(_canonical(row))
    if not columns.texts:
        raise DataError(f"{path} holds no rows")
    return columns.dataset(digest.hexdigest())


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row with its place, as errors name it; whether ids repeat is not looked at.

    Raises:
        DataError: with the file, the line and what is wrong there.
    """
    for place, fields in _records(path):
        yield place, _row(place, fields)


class _Columns:
    """Rows as columns of machine numbers, which grow by a row at a time."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._candidates: set[str] = set()
        self._rewards, self._cost_usd, self._output_tokens = _Numbers(), _Numbers(), _Numbers()
        self._datasets, self._splits = _Words(), _Words()
        self._decided, self._propensities, self._chances = _Words(), array("d"), array("I")

    def append(self, row: Row) -> None:
        at = len(self.texts)
        self.texts.append(query_from_text(row.text).text)
        self._candidates.update(row.scores)
        self._rewards.put(at, row.scores)
        self._cost_usd.put(at, row.cost_usd)
        self._output_tokens.put(at, _tokens(row))
        self._datasets.append(row.dataset)
        self._splits.append(row.split)
        self._append_decision(row)

    def _append_decision(self, row: Row) -> None:
        decision = row.decision
        if decision is None or row.scores.get(decision.candidate) is None:
            self._decided.append(_NOBODY)
            self._propensities.append(math.nan)
            self._chances.append(0)
        else:
            self._decided.append(decision.candidate)
            # Rounding may leave a certain choice a hair above 1.
            self._propensities.append(min(decision.probabilities[decision.candidate], 1.0))
            self._chances.append(sum(p > 0 for p in decision.probabilities.values()))

    def dataset(self, digest: str) -> Dataset:
        candidates = tuple(sorted(self._candidates))
        shape = (len(self.texts), candidates)
        propensities = np.array(self._propensities)
        # Of a candidate without any chance a log says nothing, and a gain over it would be made up.
        propensities[np.asarray(self._chances) < len(candidates)] = np.nan
        logged = bool(np.isfinite(propensities).any())
        return Dataset(
            texts=tuple(self.texts),
            candidates=candidates,
            rewards=self._rewards.matrix(*shape),
            cost_usd=self._cost_usd.matrix(*shape),
            output_tokens=self._output_tokens.matrix(*shape),
            datasets=self._datasets.array(),
            splits=self._splits.array(),
            sha256=digest,
            decided=self._decided.numbers(candidates) if logged else None,
            propensities=propensities if logged else None,
        )


class _Numbers:
    """A column of numbers for each name; a name may appear at any row."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}

    def put(self, at: int, values: Mapping[str, float | None]) -> None:
        for name, value in values.items():
            if value is None:
                continue
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = array("d")
            if len(column) < at:
                column.extend(repeat(math.nan, at - len(column)))
            column.append(value)

    def matrix(self, rows: int, names: tuple[str, ...]) -> Matrix:
        matrix = np.full((rows, len(names)), np.nan)
        for c, name in enumerate(names):
            # Popped: no number is held twice for longer than its column is copied.
            column = self._columns.pop(name, array("d"))
            matrix[: len(column), c] = column
        return matrix


class _Words:
    """A column of words that repeat: each row holds the number of its word."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._rows = array("I")

    def append(self, word: str) -> None:
        self._rows.append(self._numbers.setdefault(word, len(self._numbers)))

    def numbers(self, order: tuple[str, ...]) -> NDArray[np.intp]:
        """Return each row's place in an order of words; -1 for a word that is not in it."""
        places = [order.index(word) if word in order else -1 for word in self._numbers]
        return np.asarray(np.array(places, np.intp)[np.asarray(self._rows)], np.intp)

    def array(self) -> NDArray[np.str_]:
        words = np.array(list(self._numbers), np.str_)
        return np.asarray(words[np.asarray(self._rows)])


def _refuse_second(path: Path, place: str, row_id: str) -> None:
    for earlier, row in read_rows(path):
        if earlier == place:
            return
        if row.id == row_id:
            raise DataError(f"{place}: id: {row_id!r} was used before, in {earlier}")


def _records(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each record with the place to name in an error."""
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    if path.suffix == ".parquet":
        yield from _parquet_records(path)
        return
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    place = f"{path}, line {number}"
                    yield place, _json(place, line)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read to its end: {error}") from error


def _json(place: str, line: bytes) -> object:
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 ({error})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error})") from error


def _parquet_records(path: Path) -> Iterator[tuple[str, object]]:
    try:
        with parquet.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(_PARQUET_ROWS):
                for record in batch.to_pylist():
                    number += 1
                    known = {k: v for k, v in record.items() if v is not None}
                    yield f"{path}, row {number}", known
    except (OSError, ArrowException) as error:
        raise DataError(f"{path} is not readable as parquet: {error}") from error


def _row(place: str, fields: object) -> Row:
    try:
        row = Row.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{place}: {where or 'the line'}: {first['msg']}") from error
    words = {field: getattr(row, field) for field in ("id", "text", "dataset", "split")}
    words["a name in scores"] = "".join(row.scores)
    if not _is_whole("".join(words.values())):
        broken = next(field for field, word in words.items() if not _is_whole(word))
        raise DataError(f"{place}: {broken}: half of a surrogate pair, as in a text cut in two")
    for name, reward in row.scores.items():
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise DataError(
                f"{place}: scores.{name} is {reward}; rewards lie in [0, 1]: scale them first"
            )
    return row


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _canonical(row: Row) -> bytes:
    """Return the row's values alone: null and absent, or another order of names, are the same."""
    fields: dict[str, object] = vars(row).copy()
    for name in _BY_CANDIDATE:
        numbers: dict[str, float | None] = vars(row)[name]
        fields[name] = {key: number for key, number in numbers.items() if number is not None}
    # A row without a decision is the same row as before decisions were read.
    del fields["decision"]
    if row.decision is not None:
        fields["decision"] = row.decision.model_dump()
    return (_ENCODE(fields) + "\n").encode()


def _tokens(row: Row) -> dict[str, float | None]:
    if row.output_tokens:
        return row.output_tokens
    return {
        name: None if chars is None else chars / CHARS_PER_TOKEN
        for name, chars in row.answer_chars.items()
    }
