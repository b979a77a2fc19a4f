"""Cutting words by a unigram vocabulary, against `tokenizers`, which cuts them by a tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from regroup.domain.unigram import Unigram

UNKNOWN = 0
LETTERS = "abcあ"
"""`x` and `う` are in no piece."""

pieces = st.lists(
    st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=12, unique=True
).map(lambda found: ["<unk>", *found])
# Few different scores, so that ways to cut a word often score alike.
scores = st.lists(st.sampled_from([-1.0, -2.0, -2.5, -0.1]), min_size=13, max_size=13)


def cut(vocabulary: list[tuple[str, float]], words: list[str], most: int = 10_000) -> list[int]:
    unigram = Unigram(
        [piece for piece, _ in vocabulary], (score for _, score in vocabulary), unknown=UNKNOWN
    )
    return unigram.cut(words, most)


def expected(vocabulary: list[tuple[str, float]], words: list[str]) -> list[int]:
    model = models.Unigram(vocabulary, unk_id=UNKNOWN, byte_fallback=False)
    return [token.id for word in words for token in model.tokenize(word)]


@given(pieces, scores, st.lists(st.text(f"{LETTERS}xう", max_size=24), max_size=4))
def test_words_are_cut_as_by_tokenizers(
    pieces: list[str], scores: list[float], words: list[str]
) -> None:
    vocabulary = list(zip(pieces, [0.0, *scores], strict=False))
    assert cut(vocabulary, words) == expected(vocabulary, words)


@given(
    pieces, scores, st.lists(st.text(f"{LETTERS}xう", max_size=24), max_size=4), st.integers(0, 9)
)
def test_the_first_tokens_are_those_of_the_whole_text(
    pieces: list[str], scores: list[float], words: list[str], most: int
) -> None:
    vocabulary = list(zip(pieces, [0.0, *scores], strict=False))
    assert cut(vocabulary, words, most) == expected(vocabulary, words)[:most]


AB = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", -1.5), ("aba", -9.0)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], []),
        ([""], []),
        (["ab"], [3]),
        (["aba"], [3, 1]),
        (["ab", "a"], [3, 1]),
        (["xx"], [UNKNOWN]),
        (["axxb"], [1, UNKNOWN, 2]),
        (["x", "x"], [UNKNOWN, UNKNOWN]),
        (["<unk>x"], [UNKNOWN]),
        (["a<unk>b"], [1, UNKNOWN, 2]),
    ],
)
def test_the_likeliest_pieces_win_and_unknown_ones_in_a_row_are_one(
    words: list[str], ids: list[int]
) -> None:
    assert cut(AB, words) == ids == expected(AB, words)


UNKNOWN_OR_MANY = [("<unk>", 0.0), ("ab", -5.0), ("cd", -5.0), ("e", -5.0), ("bcde", -1.0)]
TIED = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", -2.0), ("ba", -2.0)]


@pytest.mark.parametrize(
    ("vocabulary", "word", "ids"),
    [
        (UNKNOWN_OR_MANY, "abcde", [1, 2, 3]),
        (UNKNOWN_OR_MANY, "bcde", [4]),
        (TIED, "ab", [3]),
        (TIED, "aba", [1, 4]),
    ],
)
def test_an_unknown_character_is_a_last_resort_and_the_first_of_equals_wins(
    vocabulary: list[tuple[str, float]], word: str, ids: list[int]
) -> None:
    assert cut(vocabulary, [word]) == ids == expected(vocabulary, [word])


def test_the_end_of_a_long_word_is_not_looked_at() -> None:
    class Watched(str):
        __slots__ = ()
        furthest = 0

        def __getitem__(self, at: object) -> str:
            assert isinstance(at, slice)
            Watched.furthest = max(Watched.furthest, at.stop)
            return str(self)[at]

    assert cut(AB[:-1], [Watched("ab" * 5_000)], most=4) == [3, 3, 3, 3]
    assert Watched.furthest < 20


def test_length_is_the_number_of_pieces() -> None:
    assert len(Unigram(["<unk>", "a"], [0.0, -1.0], unknown=UNKNOWN)) == 2
