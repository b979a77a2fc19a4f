"""Prompts of a given number of tokens, no two the same, in a tokenizer's own count."""

import random
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

_WORD_START = "\u2581"
"""How SentencePiece marks a piece that begins a word; WordPiece marks those that do not."""
_LEAST_LETTERS = 3


def prompts_of(
    tokenizer: Path, prefix: str, tokens: int, count: int, *, seed: int
) -> Sequence[str]:
    """Return `count` distinct texts of exactly `tokens` tokens, were they not cut.

    Args:
        tokenizer: a `tokenizer.json`; its words are what the texts are made of.
        prefix: what the encoder puts before every text, counted in.
        tokens: special tokens counted in.
        count: how many.
        seed: of the choice of words.
    """
    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    words = _words(reader)
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        text: list[str] = []
        length = 0
        while length < tokens:
            text += chance.choices(words, k=max(1, (tokens - length) // 2))
            length = len(reader.encode(prefix + " ".join(text)).ids)
        if length == tokens:
            found[" ".join(text)] = None
    return list(found)


def _words(reader: Tokenizer) -> list[str]:
    """Return the vocabulary's whole words in Latin letters."""
    vocabulary = reader.get_vocab()
    starts = [piece for piece in vocabulary if piece.startswith(_WORD_START)]
    pieces = [piece.removeprefix(_WORD_START) for piece in starts or vocabulary]
    return sorted(p for p in pieces if p.isascii() and p.isalpha() and len(p) >= _LEAST_LETTERS)
