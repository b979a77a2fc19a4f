"""The unigram tokenizer on tiny vocabularies, and the rule that cuts the vocabulary."""

# ruff: noqa: RUF001
# Full-width punctuation is how Japanese is written.

import string
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.errors import DataError
from training.vocabulary import (
    COVERED_RANGES,
    Vocabulary,
    build_tokenizer,
    is_covered,
    prune,
    uncovered,
)

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
CHARACTERS = {"\t": " ", "\n": " ", "\u3000": " ", "\u200b": " ", "\x01": "", "\x02": ""}
COVERED = "abé東京か1"
FOREIGN = "жש们한"


def make_vocabulary(pieces: dict[str, float]) -> Vocabulary:
    return Vocabulary(
        pieces=(*SPECIALS, *pieces),
        scores=(*[0.0] * 4, *pieces.values()),
        bos=0,
        eos=2,
        pad=1,
        unk=3,
        characters=CHARACTERS,
    )


TOY = make_vocabulary(
    {"▁": -2.0, "▁a": -3.0, "a": -4.0, "b": -4.5, "ab": -5.0, "東": -6.0, "京": -6.5, "東京": -7.0}
    | {"～": -7.5, "~": -8.0, "ガ": -8.5, "ж": -9.0, "aж": -9.5, "们": -10.0, "é": -10.5}
)


def tokens(text: str, vocabulary: Vocabulary = TOY) -> list[str]:
    found: list[str] = build_tokenizer(vocabulary).encode(text).tokens
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab", ["▁", "ab"]),
        ("bab", ["▁", "b", "ab"]),
        ("東京", ["▁", "東京"]),
        ("a  \t\u3000東", ["▁a", "▁", "東"]),
        (" a", ["▁a"]),
        ("a ", ["▁a", "▁"]),
        ("", []),
        ("a\x01b\u200bb", ["▁", "ab", "▁", "b"]),
        ("ａ", ["▁a"]),
        ("～~", ["▁", "～", "~"]),
        ("ｶﾞ", ["▁", "ガ"]),
        ("カ\u3099", ["▁", "ガ"]),
        ("be\u0301", ["▁", "b", "é"]),
        ("b<s>b", ["▁", "b", "<s>", "b"]),
    ],
)
def test_text_is_cut_into_its_likeliest_pieces(text: str, expected: list[str]) -> None:
    # The engine puts a blank before an empty text too; behind a prefix there is none.
    assert tokens(text) == ["<s>", *expected, "</s>"]


def test_character_without_a_piece_is_unknown_and_a_run_of_them_is_one_token() -> None:
    assert build_tokenizer(TOY).encode("bззз b").ids.count(TOY.unk) == 1


def test_vocabulary_that_the_tokenizer_would_read_otherwise_is_refused() -> None:
    with pytest.raises(DataError, match="a piece twice"):
        build_tokenizer(make_vocabulary({"a": -1.0, "<s>": -2.0}))
    with pytest.raises(DataError, match="a blank inside"):
        build_tokenizer(make_vocabulary({"a▁b": -1.0}))


def test_pruning_keeps_pieces_of_covered_characters_only_and_says_where_they_were() -> None:
    smaller, rows = prune(TOY)
    assert set(TOY.pieces) - set(smaller.pieces) == {"ж", "aж", "们"}
    assert [TOY.pieces[row] for row in rows] == list(smaller.pieces)
    assert [TOY.scores[row] for row in rows] == list(smaller.scores)
    assert smaller.characters == TOY.characters


def test_special_tokens_come_first_wherever_they_were() -> None:
    order = [4, 1, 0, 6, 3, 2, 5]
    pieces = ("a", "<pad>", "<s>", "ж", "<unk>", "</s>", "b")
    assert len(order) == len(pieces)
    scattered = replace(
        TOY, pieces=pieces, scores=(-1.0, 0, 0, -1, 0, 0, -2.0), bos=2, eos=5, pad=1, unk=4
    )
    smaller, rows = prune(scattered)
    assert smaller.pieces == ("<pad>", "<s>", "<unk>", "</s>", "a", "b")
    assert smaller.specials == (1, 3, 0, 2)
    assert rows.tolist() == [1, 2, 4, 5, 0, 6]


def covered_part(piece: str) -> str:
    return "".join(filter(is_covered, piece.replace("▁", " ")))


vocabularies = st.dictionaries(
    st.tuples(st.sampled_from(["", "▁"]), st.text(COVERED + FOREIGN, min_size=1, max_size=3)).map(
        "".join
    ),
    st.floats(-20, -1, width=32).map(float),
    min_size=1,
    max_size=40,
)


@given(vocabularies, st.data())
def test_covered_text_is_cut_as_before(pieces: dict[str, float], data: st.DataObject) -> None:
    # As in the real vocabulary, the least likely piece stays: the unknown is scored by it.
    whole = make_vocabulary({"▁": -2.0, **pieces, "bbbb": -21.0})
    parts = st.sampled_from([*"abé東京か1z \t", *map(covered_part, pieces)])
    text = data.draw(st.lists(parts, max_size=12).map("".join), label="text")
    smaller, rows = prune(whole)
    before = build_tokenizer(whole).encode(text)
    after = build_tokenizer(smaller).encode(text)
    assert [int(rows[token]) for token in after.ids] == before.ids


@pytest.mark.parametrize(
    "character",
    [
        *string.printable,
        *"àéîöüßñçøåæœłżșğıİơưạễ",
        *"ひらがなカタカナヴヶー々〆〇「」、。・～〜…※→①㈱㍻㎡￥＠",
        *"東京大阪仕事熱意髙﨑彅鷗剝塡叱凜",
        *"≤≥∞√∑∫±×÷°²³½€£™©®“”‘’—–•",
        *"😀🚀🍜👍🏽🇯🇵❤\ufe0f\u200d",
        "\u00a0",
        "\u3000",
        "\ufeff",
    ],
)  # fmt: skip
def test_what_japanese_english_and_latin_users_write_is_covered(character: str) -> None:
    assert uncovered(character) == 0


@pytest.mark.parametrize("character", "жΩשعकไ한们这ሀა")
def test_other_scripts_and_characters_of_chinese_alone_are_not_covered(character: str) -> None:
    assert not is_covered(character)
    assert uncovered(f"a{character}東{character}") == 2


@given(st.text())
def test_uncovered_never_exceeds_the_normalised_text(text: str) -> None:
    assert 0 <= uncovered(text) <= len(unicodedata.normalize("NFKC", text))


def test_ranges_are_in_order_and_do_not_overlap() -> None:
    edges = [edge for first, last, _ in COVERED_RANGES for edge in (first, last)]
    assert edges == sorted(edges)
    assert all(why for _, _, why in COVERED_RANGES)
