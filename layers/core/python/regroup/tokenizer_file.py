"""Read a served `tokenizer.json`: it turns a text into token ids, cut at the length it names.

A unigram vocabulary of the kind that `training.vocabulary` writes is taken out of the file, and
`regroup.domain.unigram` cuts words with it; `tokenizers` does the rest, and all of any other file.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from regroup.domain.unigram import Unigram
from regroup.errors import ArtifactIncompatibleError

_UNIGRAM = b'"type":"Unigram"'
_USUAL_CUT = {"direction": "Right", "strategy": "LongestFirst", "stride": 0}


@dataclass(frozen=True, slots=True)
class ServedTokenizer:
    """A tokenizer that does not pad; safe to use from several threads."""

    vocabulary_size: int
    ids: Callable[[str], list[int]]
    """Return a text's token ids; a lone surrogate raises TypeError or UnicodeEncodeError."""


@dataclass(frozen=True, slots=True)
class _Unigrams:
    """What a file with a unigram vocabulary says."""

    vocabulary: Unigram
    first: list[int]
    """Token ids before those of every text."""
    last: list[int]
    rest: bytes
    """The file around a vocabulary of one piece."""


def read_tokenizer(content: bytes, max_tokens: int) -> ServedTokenizer:
    """Return the tokenizer in a `tokenizer.json`.

    Raises:
        ArtifactIncompatibleError: it cannot be read, or pads, or does not cut at `max_tokens`.
    """
    unigrams = _take_unigrams(content)
    try:
        tokenizer = Tokenizer.from_buffer(unigrams.rest if unigrams else content)
    except ValueError as error:
        raise ArtifactIncompatibleError("the tokenizer cannot be read") from error
    _check(tokenizer, max_tokens)
    if unigrams:
        size = len(unigrams.vocabulary)
        return ServedTokenizer(size, _cut_by(unigrams, tokenizer, max_tokens))
    return ServedTokenizer(tokenizer.get_vocab_size(), lambda text: tokenizer.encode(text).ids)


def _check(tokenizer: Tokenizer, max_tokens: int) -> None:
    # A padded text is slow and, quantised, embedded differently: it must come at its own length.
    if tokenizer.padding is not None:
        raise ArtifactIncompatibleError("the tokenizer pads: export the encoder again")
    cut: dict[str, Any] | None = tokenizer.truncation
    if cut is None or cut["max_length"] != max_tokens:
        found = "does not cut" if cut is None else f"cuts at {cut['max_length']} tokens"
        raise ArtifactIncompatibleError(
            f"the tokenizer {found}, and the manifest says {max_tokens}: export the encoder again"
        )


def _cut_by(
    unigrams: _Unigrams, tokenizer: Tokenizer, max_tokens: int
) -> Callable[[str], list[int]]:
    normalise, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    first, last, cut = unigrams.first, unigrams.last, unigrams.vocabulary.cut
    most = max_tokens - len(first) - len(last)

    def ids(text: str) -> list[int]:
        words = (word for word, _place in split(normalise(text)))
        return [*first, *cut(words, most), *last]

    return ids


def _take_unigrams(content: bytes) -> _Unigrams | None:
    """Return what a file of the one known shape says, and nothing of any other."""
    if _UNIGRAM not in content:
        return None
    try:
        fields = json.loads(content)
        model, truncation = fields["model"], fields["truncation"]
        first, last = _frame(fields["post_processor"])
        unknown, pieces = model["unk_id"], [piece for piece, _score in model["vocab"]]
        usual = (
            {**truncation, **_USUAL_CUT} == truncation
            and not fields["added_tokens"]
            and not model["byte_fallback"]
            and fields["normalizer"]
            and fields["pre_tokenizer"]
        )
        if not usual:
            return None
        scores = [score for _piece, score in model["vocab"]]
        if type(unknown) is not int or not 0 <= unknown < len(pieces) or not _are_finite(scores):
            return None
        fields["model"] = {**model, "unk_id": 0, "vocab": [[pieces[unknown], 0.0]]}
        vocabulary = Unigram(pieces, scores, unknown=unknown)
    except (ArithmeticError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return _Unigrams(vocabulary, first, last, json.dumps(fields).encode())


def _are_finite(scores: list[Any]) -> bool:
    return all(type(score) in (int, float) and math.isfinite(score) for score in scores)


def _frame(template: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return the token ids that a post-processor puts before and after those of a text."""
    single = template["single"]
    (place,) = [i for i, part in enumerate(single) if "Sequence" in part]

    def ids(parts: list[dict[str, Any]]) -> list[int]:
        tokens = [template["special_tokens"][part["SpecialToken"]["id"]] for part in parts]
        return [one for token in tokens for one in token["ids"]]

    return ids(single[:place]), ids(single[place + 1 :])
