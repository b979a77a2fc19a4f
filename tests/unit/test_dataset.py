"""Labelled data: three file formats, one data set, and an error that names the place."""

import gzip
import json
import math
import tracemalloc
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from regroup.domain.query import MAX_CHARS
from regroup.errors import DataError
from training.dataset import CHARS_PER_TOKEN, Dataset, read_dataset, read_rows

type Record = dict[str, object]

ROWS: list[Record] = [
    {
        "id": "1",
        "text": "How do I boil an egg?",
        "scores": {"a": 1.0, "b": 0.5},
        "cost_usd": {"a": 0.01, "b": 0.002},
        "output_tokens": {"a": 10.0},
        "dataset": "kitchen",
        "split": "train",
    },
    {
        "id": "2",
        "text": "日本の首都は?",
        "scores": {"b": 0.25, "c": 0.0},
        "answer_chars": {"b": 40.0, "c": 8.0},
        "dataset": "atlas",
        "split": "test",
    },
    {"id": "3", "text": "", "scores": {"a": 0.75, "b": None}, "dataset": "atlas"},
]


def lines(rows: list[Record]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write_jsonl(folder: Path, rows: list[Record]) -> Path:
    path = folder / "data.jsonl"
    path.write_bytes(lines(rows))
    return path


def write_gzip(folder: Path, rows: list[Record]) -> Path:
    path = folder / "data.jsonl.gz"
    path.write_bytes(gzip.compress(lines(rows)))
    return path


def write_parquet(folder: Path, rows: list[Record]) -> Path:
    path = folder / "data.parquet"
    parquet.write_table(pa.Table.from_pylist(rows, schema=_schema()), path, row_group_size=2)
    return path


def _schema() -> pa.Schema:
    # A struct has every field in every row: what JSON leaves out is null here.
    numbers = pa.struct([(name, pa.float64()) for name in ("c", "b", "a")])
    words = [(name, pa.string()) for name in ("id", "text", "dataset", "split")]
    maps = [(name, numbers) for name in ("scores", "cost_usd", "output_tokens", "answer_chars")]
    return pa.schema([*words, *maps])


def same(one: Dataset, other: Dataset) -> bool:
    words = (one.texts, one.candidates, one.sha256) == (other.texts, other.candidates, other.sha256)
    names = ("rewards", "cost_usd", "output_tokens")
    numbers = all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names
    )
    origins = all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("datasets", "splits")
    )
    return words and numbers and origins


def read_back(folder: Path, rows: list[Record]) -> Dataset:
    return read_dataset(write_jsonl(folder, rows))


@pytest.mark.parametrize("write", [write_gzip, write_parquet])
def test_every_format_gives_the_same_data(
    write: Callable[[Path, list[Record]], Path], tmp_path: Path
) -> None:
    assert same(read_dataset(write(tmp_path, ROWS)), read_back(tmp_path, ROWS))


def test_the_data_are_as_written_and_gaps_are_nan(tmp_path: Path) -> None:
    data = read_back(tmp_path, ROWS)
    nan = math.nan
    assert data.texts == ("How do I boil an egg?", "日本の首都は?", "")
    assert data.candidates == ("a", "b", "c")
    np.testing.assert_equal(data.rewards, [[1.0, 0.5, nan], [nan, 0.25, 0.0], [0.75, nan, nan]])
    np.testing.assert_equal(data.cost_usd, [[0.01, 0.002, nan], [nan] * 3, [nan] * 3])
    assert data.datasets.tolist() == ["kitchen", "atlas", "atlas"]
    assert data.splits.tolist() == ["train", "test", "train"]


def test_characters_of_answers_become_tokens_where_none_are_counted(tmp_path: Path) -> None:
    both = {"output_tokens": {"a": 7.0}, "answer_chars": {"a": 400.0, "b": 400.0}}
    rows = [ROWS[1] | {"answer_chars": {"b": 40.0, "c": None}}, ROWS[0] | both]
    data = read_back(tmp_path, rows)
    nan = math.nan
    np.testing.assert_equal(
        data.output_tokens, [[nan, 40.0 / CHARS_PER_TOKEN, nan], [7.0, nan, nan]]
    )


def test_texts_are_the_queries_that_the_classifier_would_build(tmp_path: Path) -> None:
    texts = ("x" * 20_000, "e\u0301")
    rows = [ROWS[0] | {"id": text[:1], "text": text} for text in texts]
    data = read_back(tmp_path, rows)
    assert len(data.texts[0]) == MAX_CHARS
    assert data.texts[1] == "\u00e9"


names = st.sampled_from(["a", "b", "c", "d"])
amounts = st.dictionaries(names, st.none() | st.floats(0, 1), max_size=4)
records = st.fixed_dictionaries(
    {
        "text": st.text("xyz", max_size=3),
        "scores": st.dictionaries(names, st.none() | st.floats(0, 1), min_size=1, max_size=4),
        "cost_usd": amounts,
        "output_tokens": amounts,
        "dataset": st.sampled_from(["kitchen", "atlas", "a much longer name than the others"]),
        "split": st.sampled_from(["train", "test"]),
    }
)


def by_row(rows: list[Record], field: str, candidates: tuple[str, ...]) -> list[list[float]]:
    """Look every value up in its own row."""
    found = []
    for row in rows:
        values = row[field]
        assert isinstance(values, dict)
        numbers = (values.get(name) for name in candidates)
        found.append([math.nan if number is None else number for number in numbers])
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(records, min_size=1, max_size=12))
def test_each_value_lies_in_its_row_wherever_its_candidate_first_appears(
    tmp_path: Path, rows: list[Record]
) -> None:
    data = read_back(tmp_path, [{"id": str(n), **row} for n, row in enumerate(rows)])
    scores = [row["scores"] for row in rows]
    assert data.candidates == tuple(sorted({c for one in scores for c in one}))  # type: ignore[attr-defined]
    np.testing.assert_equal(data.rewards, by_row(rows, "scores", data.candidates))
    np.testing.assert_equal(data.cost_usd, by_row(rows, "cost_usd", data.candidates))
    np.testing.assert_equal(data.output_tokens, by_row(rows, "output_tokens", data.candidates))
    assert data.datasets.tolist() == [row["dataset"] for row in rows]
    assert data.splits.tolist() == [row["split"] for row in rows]


def test_the_digest_is_the_one_it_always_was(tmp_path: Path) -> None:
    # Artifacts name their data by it: a new reader must not rename data that did not change.
    assert read_back(tmp_path, ROWS).sha256 == (
        "67c9018b3c79190131fac70c3235033466dc2f652ec225d2fb13531e408202c4"
    )


@pytest.mark.parametrize("write", [write_jsonl, write_gzip, write_parquet])
def test_rows_are_read_one_at_a_time_each_with_its_place(
    write: Callable[[Path, list[Record]], Path], tmp_path: Path
) -> None:
    path = write(tmp_path, [*ROWS[:2], ROWS[2] | {"scores": {"a": 2.0}}])
    rows = read_rows(path)
    unit = "row" if path.suffix == ".parquet" else "line"
    assert [(place, row.id) for place, row in (next(rows), next(rows))] == [
        (f"{path}, {unit} 1", "1"),
        (f"{path}, {unit} 2", "2"),
    ]
    with pytest.raises(DataError, match=r"3: scores\.a is 2\.0"):
        next(rows)


def test_rows_are_not_kept_as_they_are_read(tmp_path: Path) -> None:
    numbers = {f"candidate-{n}": 0.5 for n in range(8)}
    text = "a text of some length, as a short question has"
    rows: list[Record] = [
        {"id": f"row {n}", "text": text, "scores": numbers, "cost_usd": numbers}
        for n in range(2_000)
    ]
    path = write_gzip(tmp_path, rows)
    read_dataset(path)
    tracemalloc.start()
    try:
        read_dataset(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Three matrices of eight numbers, the columns of two of them, a text and an id's hash; two
    # dictionaries of eight numbers alone would weigh more.
    assert peak_bytes / len(rows) < 700


def test_ids_of_one_hash_are_not_taken_for_one_id(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path, ROWS)
    assert same(read_dataset(path, hash_id=lambda _: 7), read_dataset(path))
    write_jsonl(tmp_path, [*ROWS, ROWS[1]])
    with pytest.raises(DataError, match=r"line 4: id: '2' was used before, in .*, line 2"):
        read_dataset(path, hash_id=lambda _: 7)


def test_blank_lines_and_unknown_fields_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "spaced.jsonl"
    path.write_bytes(b"\n" + lines([row | {"mood": {"sunny": True}} for row in ROWS]) + b"  \n")
    assert same(read_dataset(path), read_back(tmp_path, ROWS))


def test_only_values_decide_the_digest_not_how_they_are_written(tmp_path: Path) -> None:
    plain = read_back(tmp_path, ROWS)
    turned: list[Record] = [dict(reversed(row.items())) for row in ROWS]
    turned[0]["scores"] = {"c": None, "b": 0.5, "a": 1}
    turned[2]["cost_usd"] = {"a": None}
    assert same(read_back(tmp_path, turned), plain)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "4"),
        ("text", "How do I fry an egg?"),
        ("scores", {"a": 1.0, "b": 0.50001}),
        ("scores", {"a": 1.0}),
        ("scores", {"a": 1.0, "b": 0.5, "c": 0.0}),
        ("cost_usd", {"a": 0.01}),
        ("output_tokens", {"a": 11.0}),
        ("answer_chars", {"a": 10.0}),
        ("dataset", "garden"),
        ("split", "test"),
    ],
)
def test_the_digest_changes_with_any_value(field: str, value: object, tmp_path: Path) -> None:
    changed = [ROWS[0] | {field: value}, *ROWS[1:]]
    assert read_back(tmp_path, changed).sha256 != read_back(tmp_path, ROWS).sha256


def test_the_digest_changes_with_the_order(tmp_path: Path) -> None:
    digests = {read_back(tmp_path, list(rows)).sha256 for rows in permutations(ROWS)}
    assert len(digests) == 6


@given(st.permutations(range(3)))
def test_the_digest_of_taken_rows_names_which_and_in_which_order(order: list[int]) -> None:
    data = Dataset(
        texts=("x", "y", "z"),
        candidates=("a",),
        rewards=np.array([[0.1], [0.2], [0.3]]),
        cost_usd=np.full((3, 1), np.nan),
        output_tokens=np.full((3, 1), np.nan),
        datasets=np.array(["p", "q", "q"]),
        splits=np.array(["train"] * 3),
        sha256="0" * 64,
    )
    taken = data.take(np.array(order, np.intp))
    assert taken.texts == tuple("xyz"[i] for i in order)
    assert taken.rewards[:, 0].tolist() == [[0.1, 0.2, 0.3][i] for i in order]
    assert taken.datasets.tolist() == ["pqq"[i] for i in order]
    assert (taken.sha256 == data.take(np.arange(3)).sha256) == (order == [0, 1, 2])


def test_rows_are_taken_by_mask_as_by_index(tmp_path: Path) -> None:
    data = read_back(tmp_path, ROWS)
    assert same(data.take(np.array([True, False, True])), data.take(np.array([0, 2], np.intp)))
    assert data.take(np.array([True, False, True])).sha256 != data.sha256


def test_a_split_holds_its_rows_alone(tmp_path: Path) -> None:
    data = read_back(tmp_path, ROWS)
    assert data.split("train").texts == (data.texts[0], data.texts[2])
    assert len(data.split("test")) == 1
    with pytest.raises(DataError, match=r"no row has split 'dev'; the data has: test, train"):
        data.split("dev")


GOOD = json.dumps(ROWS[0]).encode()


def line(**changes: object) -> bytes:
    return json.dumps(ROWS[1] | changes).encode()


@pytest.mark.parametrize(
    ("third", "complaint"),
    [
        (b"{", "not JSON"),
        (b'{"id": "3"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'\xef\xbb\xbf{"id": "3"}', "not JSON"),
        (b'"\xff"', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"[]", "the line: "),
        (b"7", "the line: "),
        (b'{"id": "3", "scores": {"a": 1}}', "text: Field required"),
        (b'{"text": "x", "scores": {"a": 1}}', "id: Field required"),
        (b'{"text": "x", "id": "3"}', "scores: Field required"),
        (line(id=3), "id: "),
        (line(text=None), "text: "),
        (line(scores={}), "scores: "),
        (line(scores=[1.0]), "scores: "),
        (line(scores={"a": "good"}), r"scores\.a: "),
        (line(scores={"a": 1.5}), r"scores\.a is 1\.5"),
        (line(scores={"a": -0.01}), r"scores\.a is -0\.01"),
        (line(scores={"a": math.nan}), r"scores\.a: .*finite"),
        (line(scores={"a": math.inf}), r"scores\.a: .*finite"),
        (line(scores={"a": 10**400}), r"scores\.a: "),
        (line(cost_usd={"b": math.nan}), r"cost_usd\.b: .*finite"),
        (line(cost_usd={"b": -1e-9}), r"cost_usd\.b: .*greater than or equal to 0"),
        (line(output_tokens={"b": -1}), r"output_tokens\.b: .*greater than or equal to 0"),
        (line(answer_chars={"c": -40.0}), r"answer_chars\.c: .*greater than or equal to 0"),
        (line(text="cut in two \ud83d"), "text: half of a surrogate pair"),
        (line(id="\ud83d"), "id: half of a surrogate pair"),
        (line(dataset="\udc00"), "dataset: half of a surrogate pair"),
        (line(split="\udc00"), "split: half of a surrogate pair"),
        (line(scores={"\udc00": 1.0}), "a name in scores: half of a surrogate pair"),
        (line(id="1"), r"id: '1' was used before, in .*, line 1"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_a_bad_line_is_named_with_what_is_wrong_in_it(
    third: bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"\n".join([GOOD, line(), third]) + b"\n")
    with pytest.raises(DataError, match=rf"bad\.jsonl, line 3: {complaint}"):
        read_dataset(path)


def test_a_bad_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    rows = [*ROWS[:2], ROWS[2] | {"scores": {"a": 2.0}}]
    with pytest.raises(DataError, match=r"data\.parquet, row 3: scores\.a is 2\.0"):
        read_dataset(write_parquet(tmp_path, rows))


def test_a_parquet_row_without_a_text_is_named(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[1] | {"text": None}]
    with pytest.raises(DataError, match=r"data\.parquet, row 2: text: Field required"):
        read_dataset(write_parquet(tmp_path, rows))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("empty.jsonl", b"", "holds no rows"),
        ("blank.jsonl", b"\n \n", "holds no rows"),
        ("empty.jsonl.gz", b"", "holds no rows"),
        ("plain.jsonl.gz", lines(ROWS), "cannot be read to its end"),
        ("cut.jsonl.gz", gzip.compress(lines(ROWS))[:-20], "cannot be read to its end"),
        ("uncut.jsonl.gz", gzip.compress(lines(ROWS))[:-4], "cannot be read to its end"),
        (
            "garbled.jsonl.gz",
            gzip.compress(lines(ROWS))[:10] + b"\xff" * 99,
            "cannot be read to its end",
        ),
        ("plain.parquet", lines(ROWS), "is not readable as parquet"),
        ("empty.parquet", b"", "is not readable as parquet"),
    ],
)
def test_a_bad_file_is_named(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} {complaint}"):
        read_dataset(tmp_path / name)


def test_a_parquet_file_cut_short_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, ROWS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"data\.parquet is not readable as parquet"):
        read_dataset(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.parquet", "missing.jsonl.gz", "."])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        read_dataset(tmp_path / name)


DECISION = {
    "candidate": "a",
    "probabilities": {"a": 0.25, "b": 0.75},
    "inclusion_probability": 1.0,
}


def test_a_logged_decision_is_read_with_its_probability(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": "x", "scores": {"b": 0.5}},
        {"id": "2", "text": "y", "scores": {"a": 1.0, "b": None}, "decision": DECISION},
        {"id": "3", "text": "z", "scores": {"b": 1.0}, "decision": DECISION},  # not yet scored
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read_dataset(path)
    assert data.decided is not None
    assert data.propensities is not None
    assert data.decided.tolist() == [-1, 0, -1]
    np.testing.assert_array_equal(data.propensities, [np.nan, 0.25, np.nan])
    some = data.take(np.array([1]))
    assert (some.decided, some.propensities) == (np.array([0]), np.array([0.25]))


def test_a_decision_is_part_of_the_digest_and_its_absence_is_not(tmp_path: Path) -> None:
    row = {"id": "1", "text": "x", "scores": {"a": 0.5}}
    digests = []
    for number, fields in enumerate((row, row | {"decision": None}, row | {"decision": DECISION})):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(json.dumps(fields) + "\n")
        digests.append(read_dataset(path).sha256)
    assert digests[0] == digests[1] != digests[2]


def test_a_decision_whose_probabilities_do_not_sum_to_1_is_refused_with_its_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.jsonl"
    wrong = DECISION | {"probabilities": {"a": 0.25, "b": 0.5}}
    row = {"id": "1", "text": "x", "scores": {"a": 1.0}, "decision": wrong}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"line 1: decision: .*probabilities sum to 0\.75, not 1"):
        read_dataset(path)


def log_of(tmp_path: Path, probabilities: dict[str, float], candidate: str = "a") -> Dataset:
    decision = DECISION | {"candidate": candidate, "probabilities": probabilities}
    rows = [
        {"id": "1", "text": "x", "scores": {"a": 0.5}, "decision": decision},
        {"id": "2", "text": "y", "scores": {"b": 0.5}},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_dataset(path)


@pytest.mark.parametrize("probabilities", [{"a": 1.0}, {"a": 1.0, "b": 0.0}])
def test_a_decision_that_gave_a_candidate_no_chance_judges_nothing(
    probabilities: dict[str, float], tmp_path: Path
) -> None:
    assert log_of(tmp_path, probabilities).propensities is None


def test_a_probability_a_hair_above_one_is_one(tmp_path: Path) -> None:
    data = log_of(tmp_path, {"a": 1.0 + 8e-16, "b": 1e-12})
    assert data.propensities is not None
    assert data.propensities[0] == 1.0
