"""XLM-RoBERTa's vocabulary: its tokenizer rebuilt, and cut to what our users write.

The whole vocabulary knows a hundred languages in 250,002 pieces, and its tokenizer takes 0.3 GB of
memory. A piece stays when each of its characters is covered by the rule below, so every piece that
can occur in covered text stays with its score, and covered text is cut into the same pieces as
before. A character that is not covered becomes the unknown token.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from regroup.errors import DataError

SPACE = "\u2581"
"""Stands for a blank in pieces."""

COVERED_RANGES = (
    (0x0000, 0x007F, "ASCII: English, digits, code"),
    (0x0080, 0x024F, "Latin letters with accents, Western to Turkish"),
    (0x0250, 0x036F, "phonetic letters, free-standing and combining accents"),
    (0x1D00, 0x1DBF, "phonetic letters"),
    (0x1E00, 0x1EFF, "Latin letters with two accents: Vietnamese"),
    (0x2000, 0x2BFF, "punctuation, currencies, arrows, mathematics, boxes, symbols, dingbats"),
    (0x2C60, 0x2C7F, "rare Latin letters"),
    (0x2E00, 0x2E7F, "rare punctuation"),
    (0x3000, 0x30FF, "Japanese punctuation, hiragana, katakana"),
    (0x31F0, 0x31FF, "katakana of Ainu"),
    (0x3200, 0x33FF, "units and words in one square"),
    (0xA720, 0xA7FF, "rare Latin letters"),
    (0xAB30, 0xAB6F, "rare Latin letters"),
    (0xF020, 0xF0FF, "bullets and signs pasted from office documents, a private use"),
    (0xFB00, 0xFB06, "Latin ligatures"),
    (0xFE00, 0xFE0F, "choice between a text's and an emoji's form"),
    (0xFE30, 0xFE6F, "vertical and small punctuation"),
    (0xFEFF, 0xFFFD, "byte order mark, full-width Latin, half-width katakana, what was unreadable"),
    (0x1D400, 0x1D7FF, "mathematical letters"),
    (0x1F000, 0x1FAFF, "emoji"),
    (0xE0020, 0xE007F, "tags inside flags"),
)
"""First and last code point, and what lies between."""

COVERED_CODECS = ("cp932", "euc_jis_2004")
"""A Chinese character is covered when a Japanese character set (JIS X 0208 with Windows' additions,
JIS X 0213) holds it; this leaves out those that only Chinese uses."""

_HAN_RANGES = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFF))
_KEPT_BY_MAP = "\uff5e"
"""The full-width tilde, common in Japanese: NFKC makes it ASCII, the model's map leaves it."""
_SHELTER = "\ufdd0"
"""Never a character in any text, by Unicode's promise."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A unigram vocabulary: the place of a piece is its token id."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    """Log probability of each piece; 0 for special ones."""
    bos: int
    eos: int
    pad: int
    unk: int
    characters: Mapping[str, str]
    """What normalisation puts in place of a character, where it is not itself."""

    @property
    def specials(self) -> tuple[int, int, int, int]:
        """Ids of the beginning, the end, padding and the unknown."""
        return self.bos, self.eos, self.pad, self.unk


def is_covered(character: str) -> bool:
    """Say whether the cut vocabulary keeps this character's pieces."""
    code = ord(character)
    if any(first <= code <= last for first, last, _ in COVERED_RANGES):
        return True
    return any(first <= code <= last for first, last in _HAN_RANGES) and _is_japanese(character)


def uncovered(text: str) -> int:
    """Return how many characters of a text, in normal form KC, the rule leaves out."""
    return sum(not is_covered(character) for character in unicodedata.normalize("NFKC", text))


def prune(vocabulary: Vocabulary) -> tuple[Vocabulary, NDArray[np.int64]]:
    """Return the vocabulary of covered pieces, and where each of them stood before.

    Special tokens come first, in their old order; the others follow in theirs.

    Returns:
        The smaller vocabulary, and (pieces,) old ids: row numbers of the model's word table.
    """
    specials = sorted(vocabulary.specials)
    covered = cache(is_covered)
    rows = specials + [
        place
        for place, piece in enumerate(vocabulary.pieces)
        if place not in specials and all(map(covered, piece))
    ]
    bos, eos, pad, unk = map(specials.index, vocabulary.specials)
    smaller = replace(
        vocabulary,
        pieces=tuple(vocabulary.pieces[row] for row in rows),
        scores=tuple(vocabulary.scores[row] for row in rows),
        bos=bos,
        eos=eos,
        pad=pad,
        unk=unk,
    )
    return smaller, np.array(rows, np.int64)


def build_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """Return XLM-RoBERTa's tokenizer over a vocabulary.

    Text is normalised, blanks become `SPACE`, one is put in front, and the likeliest pieces are
    found (Kudo 2018, "Subword Regularization", section 3.2). Special tokens are plain pieces here:
    made known to `tokenizers`, they would put a blank behind them wherever a text quotes one.

    Raises:
        DataError: a piece occurs twice, or holds a blank in its middle.
    """
    _check(vocabulary)
    scored = [
        # The shortest decimals of a float32: half the bytes in tokenizer.json.
        (piece, float(str(np.float32(score))))
        for piece, score in zip(vocabulary.pieces, vocabulary.scores, strict=True)
    ]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=vocabulary.unk, byte_fallback=False))
    tokenizer.normalizer = _normalizer(vocabulary.characters)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always")
    first, last = vocabulary.pieces[vocabulary.bos], vocabulary.pieces[vocabulary.eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, vocabulary.bos), (last, vocabulary.eos)],
    )
    return tokenizer


def _normalizer(characters: Mapping[str, str]) -> normalizers.Normalizer:
    """Return the model's character map: NFKC, but for blanks, controls and one tilde.

    The map that comes with the model is written character by character, NFKC also joins a letter
    with the accent after it. So did the model's makers (SentencePiece's nmt_nfkc), and half-width
    katakana need it.
    """
    blanks, dropped = (
        [character for character, to in characters.items() if to == into] for into in (" ", "")
    )
    steps: list[normalizers.Normalizer] = [
        normalizers.Replace(Regex(_one_of(found)), into)
        for found, into in ((blanks, " "), (dropped, ""))
        if found
    ]
    steps += [
        normalizers.Replace(_KEPT_BY_MAP, _SHELTER),
        normalizers.NFKC(),
        normalizers.Replace(_SHELTER, _KEPT_BY_MAP),
        normalizers.Replace(Regex(" {2,}"), " "),
    ]
    return normalizers.Sequence(steps)


def _one_of(characters: list[str]) -> str:
    return "[" + "".join(rf"\x{{{ord(character):x}}}" for character in characters) + "]"


def _check(vocabulary: Vocabulary) -> None:
    if len(set(vocabulary.pieces)) != len(vocabulary.pieces):
        raise DataError("a vocabulary holds a piece twice: its file is damaged, fetch it again")
    # Text is cut at blanks before pieces are sought: such a piece would never be found.
    if any(SPACE in piece[1:] for piece in vocabulary.pieces if piece.strip(SPACE)):
        raise DataError(
            "a vocabulary holds a piece with a blank inside: it is not one of XLM-RoBERTa's kind"
        )


@cache
def _is_japanese(character: str) -> bool:
    for codec in COVERED_CODECS:
        try:
            character.encode(codec)
        except UnicodeEncodeError:
            continue
        return True
    return False
