"""Cut words into the likeliest pieces of a vocabulary, as `tokenizers` does.

The likeliest way to cut is found place by place (Kudo 2018, "Subword Regularization", section 3.2).
`tokenizers` plants a tree of all pieces for it, which costs a large vocabulary far more time and
memory at every start than a text ever wins back; here a dictionary holds the pieces.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import count

_UNKNOWN_PENALTY = 10.0
"""How much less likely an unknown character is than the least likely piece, as a logarithm."""


class Unigram:
    """A vocabulary of pieces; safe to use from several threads."""

    def __init__(self, pieces: Sequence[str], scores: Iterable[float], *, unknown: int) -> None:
        """Keep the vocabulary.

        Args:
            pieces: the place of a piece is its token id; none occurs twice.
            scores: log probability of each piece.
            unknown: token id of what no piece covers.
        """
        self._ids = dict(zip(pieces, count(), strict=False))
        self._scores = array("d", scores)
        self._unknown = unknown
        self._longest = max(map(len, pieces))
        self._unknown_score = min(self._scores) - _UNKNOWN_PENALTY

    def __len__(self) -> int:
        """Return how many pieces there are."""
        return len(self._scores)

    def cut(self, words: Iterable[str], most: int) -> list[int]:
        """Return the token ids of words in a row, at most the first `most`."""
        ids: list[int] = []
        for word in words:
            if len(ids) >= most:
                break
            ids += self._cut(word, most - len(ids))
        return ids[:most]

    def _cut(self, word: str, most: int) -> list[int]:
        """Return the token ids of one word; those after the first `most` may be missing."""
        size = len(word)
        # The likeliest way to each place: its score, its last token and where that begins.
        best = [0.0, *[-math.inf] * size]
        token, begin = [self._unknown] * (size + 1), [0] * (size + 1)
        ids: list[int] = []
        settled = reach = 0
        for start in range(size):
            if start == reach:
                # No piece crosses this place: what comes later cannot change the way to it.
                self._add_way(ids, token, begin, settled, start)
                if len(ids) >= most:
                    return ids
                settled = start
            here = best[start]
            steps = self._steps(word, start)
            for end, piece, score in steps:
                if here + score > best[end]:
                    best[end], token[end], begin[end] = here + score, piece, start
            reach = max(reach, steps[-1][0])
        self._add_way(ids, token, begin, settled, size)
        return ids

    def _steps(self, word: str, start: int) -> list[tuple[int, int, float]]:
        """Return end, token id and score of all pieces that begin at a place, the longest last."""
        find, scores = self._ids.get, self._scores
        ends = range(start + 1, min(start + self._longest, len(word)) + 1)
        steps = [
            (end, piece, scores[piece])
            for end in ends
            if (piece := find(word[start:end])) is not None
        ]
        if not steps or steps[0][0] > start + 1:
            steps.insert(0, (start + 1, self._unknown, self._unknown_score))
        return steps

    def _add_way(
        self, ids: list[int], token: Sequence[int], begin: Sequence[int], start: int, end: int
    ) -> None:
        """Add the tokens between two places; unknown ones in a row are one."""
        way: list[int] = []
        while end > start:
            way.append(token[end])
            end = begin[end]
        for one in reversed(way):
            if one != self._unknown or ids[-1:] != [one]:
                ids.append(one)
