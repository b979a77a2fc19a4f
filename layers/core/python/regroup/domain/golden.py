"""Golden texts: what an artifact said of a few fixed texts when it was made.

They tell, before a router decides anything, whether this machine still gets from the artifact what
training got. Digests cannot: they hold the bytes, and not what the CPU, onnxruntime and the
tokenizer's library make of them.

Nothing is compared by equality. The sums of int8 products are exact, but between them the encoder
rounds in float32, and other kernels round otherwise: now and then a number falls onto the next
8-bit step, and later layers carry that on. So

- the distance to the nearest centroid must agree within a tolerance, for every text: it changes
  continuously, also where an embedding crosses from one cluster into the next;
- the cluster must agree, unless the text lay so near the border that distances within their
  tolerance explain the change: its margin is at most twice the tolerance;
- at most a minority of the texts may change cluster, however near to borders they lie;
- rewards must agree within a tolerance where the cluster does. In another cluster another map
  gives them, so there they say nothing.

So a wrong encoder, tokenizer or order of heads is found where it matters by more than the
tolerances, and not where it does not: candidates that earn about the same may be changed over.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from regroup.domain.prediction import Heads, Prediction
from regroup.domain.query import MAX_CHARS
from regroup.errors import ArtifactCorruptError, ArtifactIncompatibleError

TEXTS = (
    "Explain in two sentences why leaves change their colour in autumn.",
    "朝食に向いている和食を三つ挙げ、それぞれの作り方を簡単に説明してください。",
    "def total(items):\n    return sum(item.price * item.count for item in items)\n\n"
    "Write a unit test for this function.",
    "3.14159265",
    "ＡＢＣ１２３とabc123は同じ文字列ですか？ ｶﾀｶﾅ表記も確認してください。",
    # Longer than an encoder reads, so that cutting is tried as well.
    " ".join(
        f"On day {day} the river stood {7 * day % 90} centimetres above its mark."
        for day in range(1, 101)
    ),
    "...?! --- (( )) ;; \"\" '' <> / \\ | ~",
    "Translate 'good morning' into French, German and Spanish.",
)
"""English, Japanese, code, a number, both widths of letters, one that is cut, punctuation, quotes:
fixed, and taken from nobody's data."""

MAX_TEXTS = 64
BRIEF_CHARS = 200

DISTANCE_TOLERANCE = 0.03
"""Several times the largest change seen in the distance to any centroid, over both encoders,
between thread counts, levels of onnxruntime's graph optimisation, and kernels for CPUs with AVX2
and (emulated) without; about what int8 itself changes against float32. Kernels for VNNI were not
seen; as weights use 7 bits (`reduce_range`), no kernel's sums should saturate."""

LEAST_REWARD_TOLERANCE = 0.01
REWARD_TOLERANCE_PER_SLOPE = 0.03
"""Of the steepest map's slope, the largest length of a row of weights: several times the largest
change seen in any reward, in the same way, by routers of every closed form."""

_LEAST_TOLERANCE = 1e-6
"""Below it, a tolerance asks for equality."""

_DECIMALS = 6
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class GoldenText:
    """A text and what is expected of it."""

    text: str
    cluster: int
    distance: float
    """To the nearest centroid."""
    margin: float
    """How much farther the second nearest centroid is; 0 where there is one cluster."""
    rewards: Mapping[str, float]
    """By candidate."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden texts, and how far predictions may lie from what is expected."""

    texts: tuple[GoldenText, ...]
    distance_tolerance: float
    reward_tolerance: float

    def __post_init__(self) -> None:
        """Refuse none at all, and more than anyone waits for."""
        if not 1 <= len(self.texts) <= MAX_TEXTS:
            raise ValueError(f"{len(self.texts)} golden texts: there may be 1 to {MAX_TEXTS}")

    def brief(self) -> "Golden":
        """Return the short texts alone, for when somebody waits; all where none is short."""
        short = tuple(one for one in self.texts if len(one.text) <= BRIEF_CHARS)
        return replace(self, texts=short or self.texts)

    def to_bytes(self) -> bytes:
        """Serialise as `golden.json`."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def make_golden(
    encode: Callable[[str], NDArray[np.float32]], heads: Heads, texts: Sequence[str] = TEXTS
) -> Golden:
    """Note what a router predicts for golden texts.

    Args:
        encode: gives the (dims,) embedding of a text, by the encoder file that is served.
        heads: as they are served.
        texts: each in NFC and of at most `MAX_CHARS` characters, so that a query keeps it as it is.
    """
    steepest = float(np.linalg.norm(heads.weights, axis=2).max())
    return Golden(
        tuple(_expected(text, encode(text), heads) for text in texts),
        distance_tolerance=DISTANCE_TOLERANCE,
        reward_tolerance=round(
            LEAST_REWARD_TOLERANCE + REWARD_TOLERANCE_PER_SLOPE * steepest, _DECIMALS
        ),
    )


def find_deviation(golden: Golden, predict: Callable[[str], Prediction]) -> str | None:
    """Name the first golden text that is predicted otherwise than expected, and what differs.

    Args:
        golden: of the artifact that predicts.
        predict: from a text, by heads and encoder, past every cache.

    Returns:
        a sentence that quotes no text; None where all is as expected.

    Raises:
        RegroupError: whatever `predict` raises.
    """
    moved: list[int] = []
    for number, expected in enumerate(golden.texts, start=1):
        found = predict(expected.text)
        fault = _fault(golden, expected, found)
        if fault is not None:
            return f"golden text {number}: {fault}"
        if found.cluster != expected.cluster:
            moved.append(number)
    if 2 * len(moved) >= len(golden.texts):
        return (
            f"golden text {moved[0]}: another cluster than expected, as for {len(moved)} "
            f"of {len(golden.texts)} texts"
        )
    return None


def read_golden(content: bytes, candidates: Sequence[str], n_clusters: int) -> Golden:
    """Parse `golden.json`; fields this version does not know are ignored.

    Args:
        content: the file.
        candidates: of the artifact.
        n_clusters: of the artifact.

    Raises:
        ArtifactCorruptError: not such a file; a number that is none, or out of range.
        ArtifactIncompatibleError: it speaks of other candidates or clusters.
    """
    try:
        fields = json.loads(content)
        golden = Golden(
            tuple(map(_read_text, fields["texts"])),
            distance_tolerance=_number(fields["distance_tolerance"], least=_LEAST_TOLERANCE),
            reward_tolerance=_number(fields["reward_tolerance"], least=_LEAST_TOLERANCE),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactCorruptError("golden.json does not hold golden texts") from error
    for expected in golden.texts:
        if expected.rewards.keys() != set(candidates) or expected.cluster >= n_clusters:
            raise ArtifactIncompatibleError("golden texts and heads do not fit each other")
    return golden


def _expected(text: str, embedding: NDArray[np.float32], heads: Heads) -> GoldenText:
    found = heads.predict(embedding)
    nearest = np.sort(np.linalg.norm(heads.centroids - embedding, axis=1))[:2]
    # Rounded, so that the last bits of a sum do not give the artifact another digest.
    return GoldenText(
        text=text,
        cluster=found.cluster,
        distance=round(found.distance, _DECIMALS),
        margin=round(float(nearest[-1] - nearest[0]), _DECIMALS),
        rewards={name: round(reward, _DECIMALS) for name, reward in found.rewards.items()},
    )


def _fault(golden: Golden, expected: GoldenText, found: Prediction) -> str | None:
    within = golden.distance_tolerance
    # Each test is written so that NaN fails it.
    if not abs(found.distance - expected.distance) <= within:
        return _differs("the distance to its cluster", found.distance, expected.distance, within)
    if found.rewards.keys() != expected.rewards.keys():
        return "rewards of other candidates than expected"
    if not all(map(isfinite, found.rewards.values())):
        return "a reward that is not finite"
    if found.cluster != expected.cluster:
        if expected.margin <= 2 * within:
            return None
        return f"cluster {found.cluster}, and {expected.cluster} was expected by a clear margin"
    within = golden.reward_tolerance
    for name, reward in expected.rewards.items():
        if not abs(found.rewards[name] - reward) <= within:
            return _differs(f"the reward of {name}", found.rewards[name], reward, within)
    return None


def _differs(what: str, found: float, expected: float, within: float) -> str:
    return f"{what} is {found:.4f}, and {expected:.4f} within {within:g} was expected"


def _read_text(fields: Mapping[str, object]) -> GoldenText:
    text, cluster, rewards = fields["text"], fields["cluster"], fields["rewards"]
    if not isinstance(text, str) or not 0 < len(text) <= MAX_CHARS:
        raise ValueError("no text, or one that no query holds")
    text.encode()  # no encoder takes a lone surrogate
    if type(cluster) is not int or cluster < 0:
        raise ValueError("no cluster")
    if not isinstance(rewards, dict):
        raise TypeError("no rewards")
    return GoldenText(
        text=text,
        cluster=cluster,
        distance=_number(fields["distance"]),
        margin=_number(fields["margin"]),
        rewards={name: _number(reward, least=-_LARGEST) for name, reward in rewards.items()},
    )


def _number(value: object, least: float = 0.0) -> float:
    """Return a finite number; JSON may hold NaN, and whole numbers beyond any float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("not a number")
    if not least <= value <= _LARGEST:
        raise ValueError("not a number in range")
    return float(value)
