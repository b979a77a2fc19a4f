"""The bundled prompts: the same everywhere, balanced, distinct, and checked without a model."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from regroup.errors import DataError
from training import cli
from training.collect import read_questions
from training.prompts import DIFFICULTIES, KINDS, LANGUAGES, Prompt, generate, is_correct
from training.prompts.tables import CAPITALS, ELEMENTS, KANA_WORDS, LATIN_WORDS, WORDS

PROMPTS = generate(3600, LANGUAGES, seed=5)


def test_the_same_seed_gives_the_same_prompts_in_another_process() -> None:
    program = (
        "from hashlib import sha256; from training.prompts import generate;"
        "print(sha256(repr(generate(400, ['ja', 'en'], 11)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert generate(400, ["ja", "en"], 11) == generate(400, ["en", "ja"], 11)
    assert generate(400, ["ja", "en"], 11) != generate(400, ["ja", "en"], 12)


def test_a_longer_list_starts_with_the_shorter_one() -> None:
    assert generate(90, LANGUAGES, seed=5) == PROMPTS[:90]


def test_the_prompts_of_a_language_do_not_depend_on_the_other() -> None:
    alone = generate(180, ["ja"], seed=5)
    assert alone == [p for p in PROMPTS if p.language == "ja"][:180]


def test_the_prompts_of_a_category_do_not_depend_on_the_others() -> None:
    alone = generate(60, ["ja"], seed=5, categories=["roman"])
    assert alone == [p for p in PROMPTS if (p.category, p.language) == ("roman", "ja")][:60]


@pytest.mark.parametrize("n", [1, 35, 36, 100, 1501])
def test_categories_and_languages_are_balanced(n: int) -> None:
    prompts = generate(n, LANGUAGES, seed=2)
    counts = Counter((p.category, p.language) for p in prompts)
    cells = [counts[kind, language] for kind in KINDS for language in LANGUAGES]
    assert len(prompts) == n
    assert max(cells) - min(cells) <= 1


def test_difficulties_are_balanced_within_every_category_and_language() -> None:
    counts = Counter((p.category, p.language, p.difficulty) for p in PROMPTS)
    assert len(counts) == len(KINDS) * len(LANGUAGES) * len(DIFFICULTIES)
    assert set(counts.values()) == {len(PROMPTS) // len(counts)}


def test_no_two_prompts_share_text_or_id() -> None:
    prompts = generate(9000, LANGUAGES, seed=1)
    assert len({p.text for p in prompts}) == len({p.id for p in prompts}) == len(prompts)


def test_texts_are_what_the_classifier_would_see() -> None:
    for prompt in PROMPTS:
        assert prompt.text == unicodedata.normalize("NFC", prompt.text).strip()
        assert prompt.answer == prompt.answer.strip() != ""
        assert "{" not in prompt.text or prompt.category == "json_edit"


def test_japanese_prompts_are_written_in_japanese_and_english_ones_in_english() -> None:
    for prompt in PROMPTS:
        kana = any("\u3041" <= letter <= "\u30ff" for letter in prompt.text)
        assert kana == (prompt.language == "ja"), prompt


def test_every_category_is_worded_in_several_ways() -> None:
    endings = defaultdict(set)
    for prompt in PROMPTS:
        endings[prompt.category, prompt.language].add(prompt.text[-12:])
    assert min(len(found) for found in endings.values()) >= 3


def days_away(text: str) -> float:
    return int(re.findall(r"(\d+)(?: days|日[後前])", text)[0])


def digits(text: str) -> float:
    return len(re.findall(r"[\dIVXLCDM]", text))


SIZES: dict[str, Callable[[str], float]] = {
    # Where no more words come in, the numbers grow.
    "roman": digits,
    "bases": digits,
    "dates": days_away,
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("category", sorted(set(KINDS) - {"sequence"}))
def test_difficulty_shows_in_the_text(category: str, language: str) -> None:
    size = SIZES.get(category, len)
    chosen = generate(1000, [language], 4, [category])
    sizes = [mean(size(p.text) for p in chosen if p.difficulty == d) for d in DIFFICULTIES]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.1 * sizes[0]


def test_unknown_names_and_impossible_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="no language 'fr'; languages: en, ja"):
        generate(3, ["en", "fr"], seed=0)
    with pytest.raises(DataError, match="no category 'poems'; categories: arithmetic"):
        generate(3, ["en"], seed=0, categories=["poems"])
    with pytest.raises(DataError, match="at least 1"):
        generate(0, ["en"], seed=0)
    with pytest.raises(DataError, match="no language was asked for"):
        generate(3, [], seed=0)
    with pytest.raises(DataError, match=r"too many prompts: after \d+ of roman in ja"):
        generate(60_000, ["ja"], seed=0, categories=["roman"])


def test_the_tables_have_one_answer_each() -> None:
    for column in range(4):
        for table in (CAPITALS, ELEMENTS):
            values = [row[column] for row in table]
            assert len(set(values)) == len(values)
    assert len({one for pair in WORDS for one in pair}) == 2 * len(WORDS)
    for words in (LATIN_WORDS, KANA_WORDS):
        assert len(set(words)) == len(words)
    # No voicing marks: decomposition would show them. No small kana either.
    assert all(unicodedata.normalize("NFD", word) == word for word in KANA_WORDS)
    assert not set("".join(KANA_WORDS)) & set("ぁぃぅぇぉっゃゅょー")


# Checking answers


DRESSED = (
    "{}", "  {}\n", '"{}"', "`{}`", "{}.", "{}。", "「{}」", "Answer: {}", "答え\uff1a{}",
    "答え: {}。", '"{}."', "**{}**", "ANSWER: `{}`.",
)  # fmt: skip


@pytest.mark.parametrize("dress", DRESSED)
def test_an_answer_is_right_however_it_is_dressed(dress: str) -> None:
    for prompt in PROMPTS[:720]:
        if prompt.category == "json_edit":
            continue
        assert is_correct(prompt.answer, dress.format(prompt.answer)), prompt
        assert is_correct(prompt.answer, dress.format(prompt.answer.upper())), prompt


def test_json_is_compared_as_json() -> None:
    wanted = '{"item": "傘", "stock": 3}'
    for right in (
        wanted,
        '{"stock":3,"item":"傘"}',
        f"```json\n{wanted}\n```",
        f"```\n{wanted}\n```",
        f"`{wanted}`",
        '{"item": "\\u5098", "stock": 3}\n',
    ):
        assert is_correct(wanted, right), right
    for wrong in ('{"item": "傘", "stock": "3"}', wanted[:-1], "{}", "傘", '{"item": "傘"}', "[]"):
        assert not is_correct(wanted, wrong), wrong
    assert not is_correct('{"active": true}', '{"active": 1}')
    assert not is_correct('{"a": 1}', "{" * 100_000)


@pytest.mark.parametrize(
    ("wanted", "given", "right"),
    [
        ("1234", "1,234", True),
        ("1,234", "1234", True),
        ("31,900", "\uff13\uff11\uff0c\uff19\uff10\uff10", True),
        ("-5", "\u22125", True),
        ("5", "5.0", True),
        ("5", "05", True),
        ("1234", "12,34", False),
        ("1234", "1234 rolls", False),
        ("12", "1.2", False),
        ("5", "-5", False),
        ("0.5", ".5", False),
        ("100", "1e2", False),
        ("123, 456", "123,456", True),
        ("123, 456", "123、456", True),
        ("123, 456", "123456", False),
        ("123456", "123, 456", False),
        ("a, b", "b, a", False),
        ("a, b", "a,b", True),
        ("XIV", "ⅹⅳ", True),
        ("Paris", "The capital is Paris", False),
        ("Paris", "Paris, France", False),
        ("2024-03-05", "2024-3-5", False),
        ("猫", "ねこ", False),
        ("さくら", "サクラ", False),
        ("3", "", False),
        ("3", "³", True),
    ],
)
def test_answers_that_look_alike(wanted: str, given: str, right: bool) -> None:
    assert is_correct(wanted, given) is right


@given(st.text())
def test_every_text_agrees_with_itself_and_with_its_normal_forms(text: str) -> None:
    assert is_correct(text, text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert is_correct(text, unicodedata.normalize(form, text))


@given(st.text(), st.text())
def test_being_right_does_not_depend_on_who_is_the_answer(one: str, other: str) -> None:
    assert is_correct(one, other) == is_correct(other, one)


@given(st.integers(), st.integers())
def test_numbers_agree_exactly_when_they_are_equal(one: int, other: int) -> None:
    assert is_correct(str(one), f"{one:,}")
    assert is_correct(str(one), f" {one:,}。")
    assert is_correct(str(one), str(other)) == (one == other)


@given(st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=2, max_size=6, unique=True))
def test_a_list_in_another_order_is_wrong(items: list[str]) -> None:
    assert is_correct(", ".join(items), "、".join(items))
    assert not is_correct(", ".join(items), ", ".join([*items[1:], items[0]]))
    assert not is_correct(", ".join(items), ", ".join(items[1:]))


def test_no_answer_is_right_for_another_prompt_of_its_category_but_by_equality() -> None:
    by_category = defaultdict(list)
    for prompt in PROMPTS[:1800]:
        by_category[prompt.category].append(prompt)
    for prompts in by_category.values():
        for one, other in pairwise(prompts):
            same = canonical(one) == canonical(other)
            assert is_correct(one.answer, other.answer) == same, (one, other)


def canonical(prompt: Prompt) -> object:
    if prompt.category == "json_edit":
        return json.dumps(json.loads(prompt.answer), sort_keys=True)
    bare = prompt.answer.replace(",", "").casefold()
    return int(bare) if bare.lstrip("-").isdecimal() else bare


# The command


def test_the_command_writes_rows_that_collect_reads(tmp_path: Path) -> None:
    out = tmp_path / "new" / "prompts.jsonl"
    result = CliRunner().invoke(
        cli.app,
        ["prompts", "--n", "72", "--language", "ja,en", "--seed", "5", "--out", str(out)],
    )
    assert result.exit_code == 0, result.output
    assert "72 prompts of 18 categories" in result.output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {
        "id": PROMPTS[0].id,
        "text": PROMPTS[0].text,
        "answer": PROMPTS[0].answer,
        "dataset": PROMPTS[0].category,
        "language": PROMPTS[0].language,
        "difficulty": PROMPTS[0].difficulty,
    }
    questions = read_questions(out)
    assert [(q.id, q.text, q.answer) for q in questions] == [
        (p.id, p.text, p.answer) for p in PROMPTS[:72]
    ]
    assert [path.name for path in out.parent.iterdir()] == ["prompts.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", "5", "--language", "ja,fr"], "no language 'fr'; languages: en, ja"),
        (["--n", "5", "--category", "poems"], "no category 'poems'"),
        (["--n", "60000", "--category", "roman", "--language", "en"], "too many prompts"),
    ],
)
def test_the_command_says_what_is_wrong_and_leaves_the_old_file(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "prompts.jsonl"
    out.write_text("before")
    monkeypatch.setattr(sys, "argv", ["regroup", "prompts", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert message in capsys.readouterr().err
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(
        cli.app, ["prompts", "--n", "3", "--out", str(tmp_path / "file" / "prompts.jsonl")]
    )
    assert isinstance(result.exception, DataError)
    assert "cannot be written" in str(result.exception)
