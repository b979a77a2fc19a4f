"""Read labelled data: queries with the reward that each candidate's answer earned."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import ArrowException, parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regroup.domain.query import query_from_text
from regroup.errors import DataError

type Matrix = NDArray[np.float64]

CHARS_PER_TOKEN = 4.0
"""Turns the length of an answer in characters into tokens where the data counts none."""


class Row(BaseModel):
    """One line of labelled data."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    id: str
    text: str
    scores: dict[str, float | None] = Field(min_length=1)
    cost_usd: dict[str, float | None] = {}
    output_tokens: dict[str, float | None] = {}
    answer_chars: dict[str, float | None] = {}
    dataset: str = "all"
    split: str = "train"


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


def read_dataset(path: Path) -> Dataset:
    """Read `*.jsonl`, `*.jsonl.gz` or `*.parquet`.

    Raises:
        DataError: with the file, the line and what is wrong there.
    """
    rows: list[Row] = []
    places: dict[str, str] = {}
    digest = sha256()
    for place, fields in _records(path):
        row = _row(place, fields)
        if row.id in places:
            raise DataError(f"{place}: id: {row.id!r} was used before, in {places[row.id]}")
        places[row.id] = place
        rows.append(row)
        digest.update(_canonical(row))
    if not rows:
        raise DataError(f"{path} holds no rows")
    candidates = tuple(sorted({name for row in rows for name in row.scores}))
    return Dataset(
        texts=tuple(query_from_text(row.text).text for row in rows),
        candidates=candidates,
        rewards=_matrix([row.scores for row in rows], candidates),
        cost_usd=_matrix([row.cost_usd for row in rows], candidates),
        output_tokens=_matrix([_tokens(row) for row in rows], candidates),
        datasets=np.array([row.dataset for row in rows]),
        splits=np.array([row.split for row in rows]),
        sha256=digest.hexdigest(),
    )


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
            for batch in table.iter_batches():
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
    for field in ("id", "text", "dataset", "split"):
        _refuse_surrogates(f"{place}: {field}", getattr(row, field))
    for name, reward in row.scores.items():
        _refuse_surrogates(f"{place}: a name in scores", name)
        if reward is not None and not 0.0 <= reward <= 1.0:
            raise DataError(
                f"{place}: scores.{name} is {reward}; rewards lie in [0, 1]: scale them first"
            )
    return row


def _refuse_surrogates(place: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: half of a surrogate pair, as in a text cut in two") from error


def _canonical(row: Row) -> bytes:
    """Return the row's values alone: null and absent, or another order of names, are the same."""
    fields: dict[str, object] = {}
    for name, value in row:
        if isinstance(value, dict):
            value = {key: number for key, number in value.items() if number is not None}
        fields[name] = value
    return (json.dumps(fields, sort_keys=True, allow_nan=False) + "\n").encode()


def _tokens(row: Row) -> dict[str, float | None]:
    if row.output_tokens:
        return row.output_tokens
    return {
        name: None if chars is None else chars / CHARS_PER_TOKEN
        for name, chars in row.answer_chars.items()
    }


def _matrix(rows: list[dict[str, float | None]], candidates: tuple[str, ...]) -> Matrix:
    values = [[row.get(name) for name in candidates] for row in rows]
    return np.array(values, dtype=np.float64)
