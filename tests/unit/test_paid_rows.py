"""What was paid for is in the file at once, is asked no second time, and survives a cut."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.errors import DataError
from tests.local.stack import CATALOG
from training.collect import Question
from training.dataset import read_dataset
from training.paid_rows import PaidRows, file_name

NAMES = ("haiku", "sonnet")
SHIPPED = read_catalog(CATALOG.read_bytes(), place="catalog")
FIRST, SECOND = (Question(id=name, text=f"What is {name}?", answer="a") for name in ("q1", "q2"))


def row(question: Question, **rewards: float | None) -> Mapping[str, Any]:
    each = {name: None if reward is None else 0.01 for name, reward in rewards.items()}
    return {
        "id": question.id,
        "text": question.text,
        "dataset": "all",
        "language": "en",
        "scores": rewards,
        "cost_usd": each,
        "output_tokens": each,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "labelled.jsonl"


def test_a_row_is_there_for_the_next_run(path: Path) -> None:
    PaidRows(path, NAMES).keep(row(FIRST, haiku=1.0, sonnet=0.0))
    again = PaidRows(path, NAMES)

    assert (len(again), again.scored) == (1, 1)
    assert again.spent_usd == pytest.approx(0.02)
    assert again.missing(FIRST) == ()
    assert again.missing(SECOND) == NAMES


def test_only_those_who_did_not_answer_are_missing_and_the_answers_are_joined(path: Path) -> None:
    paid = PaidRows(path, NAMES)
    paid.keep(row(FIRST, haiku=1.0, sonnet=None))
    assert (paid.missing(FIRST), paid.scored) == (("sonnet",), 0)
    paid.keep(row(FIRST, sonnet=0.0))

    for one in (paid, PaidRows(path, NAMES)):
        assert (one.missing(FIRST), one.scored, len(one)) == ((), 1, 1)
        assert one.spent_usd == pytest.approx(0.02)


def test_a_row_that_nobody_answered_is_not_kept(path: Path) -> None:
    paid = PaidRows(path, NAMES)
    paid.keep(row(FIRST, haiku=None, sonnet=None))

    assert len(paid) == 0
    assert not path.exists()


def test_an_answer_to_another_text_of_the_same_id_does_not_count(path: Path) -> None:
    paid = PaidRows(path, NAMES)
    paid.keep(row(FIRST, haiku=1.0, sonnet=1.0))
    changed = FIRST.model_copy(update={"text": "What else?"})
    assert paid.missing(changed) == NAMES
    paid.keep(row(changed, haiku=0.0))
    assert paid.missing(changed) == ("sonnet",)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_cut_off_spoils_neither_those_before_nor_those_after(
    cut: int, path: Path
) -> None:
    paid = PaidRows(path, NAMES)
    paid.keep(row(FIRST, haiku=1.0, sonnet=1.0))
    paid.keep(row(SECOND, haiku=1.0, sonnet=1.0))
    path.write_bytes(path.read_bytes()[:-cut])
    kept = 2 if cut == 1 else 1  # without its line feed alone a row is whole

    again = PaidRows(path, NAMES)
    assert len(again) == kept
    again.keep(row(SECOND, haiku=0.0, sonnet=1.0))
    assert len(PaidRows(path, NAMES)) == 2


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", '{"id": "q1"}', "\x00"])
def test_a_line_that_is_no_row_is_passed_over(line: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"{line}\n{json.dumps(row(FIRST, haiku=1.0))}\n", encoding="utf-8")
    assert len(PaidRows(path, NAMES)) == 1


def test_a_file_that_is_none_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be read: move it away, or name another --out"):
        PaidRows(path, NAMES)


def test_settled_rows_stand_once_each_in_the_order_of_the_questions(path: Path) -> None:
    paid = PaidRows(path, NAMES)
    other = Question(id="older", text="What is older?", answer="a")
    for question in (other, SECOND, FIRST):
        paid.keep(row(question, haiku=1.0))
    paid.keep(row(SECOND, sonnet=0.0))
    paid.settle([FIRST, SECOND])

    ids = [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert ids == ["q1", "q2", "older"]
    assert len(read_dataset(path)) == 3


def test_the_file_is_named_after_models_and_languages_but_not_after_a_deployments_profiles() -> (
    None
):
    haiku = SHIPPED.candidates["haiku"]

    def name(languages: tuple[str, ...] = ("en", "ja"), **changes: Any) -> str:
        return file_name(Catalog({"haiku": replace(haiku, **changes)}), languages)

    assert name() == name(("ja", "en")) == name(profile_arn="arn:aws:bedrock:one")
    assert len({name(), name(("en",)), name(model_id="jp.anthropic.claude-haiku-6")}) == 3
    assert file_name(SHIPPED, ("en",)).startswith("labelled-")
