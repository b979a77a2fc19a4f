"""Compare a new router with the champion: what is live, on the same rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.artifact import AgainstChampion, Artifact, EncoderRecord, Manifest, load_artifact
from regroup.domain.pointer import read_pointer
from regroup.domain.policy import Knobs, Offer, choose
from regroup.domain.prediction import Heads
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import (
    ArtifactError,
    ArtifactIncompatibleError,
    ArtifactNotFoundError,
    DataError,
)
from regroup.ports import ObjectStore
from training.dataset import Dataset, Matrix
from training.decide import taken
from training.embeddings import Progress, embed
from training.encoder import EncoderSpec
from training.intervals import Average, paired_interval
from training.prepare import cache_path

PRESET = "quality"
"""The preset that both sides decide by."""

_WAY_OUT = "train without --champion, and publish with --force 'reason'"


def compare_with_champion(
    store: ObjectStore,
    pointer_key: str,
    data: Dataset,
    new_choices: NDArray[np.intp],
    judged: NDArray[np.intp],
    *,
    average: Average,
    seed: int,
    cache_folder: Path,
    costs: Matrix | None = None,
    progress: Progress = lambda _done, _all: None,
) -> AgainstChampion | None:
    """Return what the new router gains over the live one, or None where nothing is live.

    The champion decides as serving would, with its own encoder. It may have been trained on some
    of these rows, which the new router never is, and that flatters it: the test is the stricter.

    Args:
        store: where pointer and artifacts lie.
        pointer_key: the pointer's.
        data: the rows.
        new_choices: (judged rows,) column of the candidate that the new router chose out of fold.
        judged: index of the rows compared, each with a reward from every candidate.
        average: what counts alike in the mean.
        seed: decides the bootstrap's draws.
        cache_folder: where embeddings are kept.
        costs: (judged rows, candidates) expected USD; by default nothing costs anything.
        progress: told as texts are embedded.

    Raises:
        ArtifactError: the pointer or the champion cannot be used.
        DataError: the data scores no candidate of the champion's.
        StoreError: the store did not answer.
    """
    try:
        content = store.read(pointer_key).content
    except ArtifactNotFoundError:
        return None
    digest = read_pointer(content).champion
    rows = data.take(judged)
    try:
        champion = _load(store, digest)
        _shared(champion.manifest, rows.candidates)
        embeddings = _embed(champion, rows.texts, cache_folder, progress)
    except ArtifactError as error:
        raise ArtifactError(
            f"the champion {digest} cannot be used ({error}): {_WAY_OUT}"
        ) from error
    # Sums over several threads differ from run to run in their last bits.
    with threadpool_limits(limits=1):
        choices = champion_choices(
            champion.manifest, champion.heads, embeddings, rows.candidates, costs
        )
        return measure_gain(digest, rows, new_choices, choices, average=average, seed=seed)


def champion_choices(
    manifest: Manifest,
    heads: Heads,
    embeddings: NDArray[np.float32],
    candidates: Sequence[str],
    costs: Matrix | None = None,
) -> NDArray[np.intp]:
    """Return the (rows,) column of the candidate that a published router chooses.

    It chooses by its preset `quality`, by the policy's own code, among the candidates that the
    data scores. Where its default candidate is not among them, the best prediction decides.

    Args:
        manifest: the published router's.
        heads: the same router's.
        embeddings: (rows, dims), by its own encoder.
        candidates: that the data scores; columns refer to them.
        costs: (rows, candidates) expected USD; by default nothing costs anything.

    Raises:
        DataError: the data scores none of its candidates.
    """
    columns = _shared(manifest, candidates)
    preset = manifest.presets[PRESET]
    margin = manifest.min_margin if preset.min_margin is None else preset.min_margin
    knobs = Knobs(preset.cost_weight, manifest.default_candidate, margin)
    if costs is None:
        costs = np.zeros((len(embeddings), len(candidates)))
    chosen = np.empty(len(embeddings), np.intp)
    for row, embedding in enumerate(embeddings):
        rewards = heads.predict(embedding).rewards
        offers = {name: Offer(rewards[name], float(costs[row, c])) for name, c in columns.items()}
        chosen[row] = columns[choose(offers, knobs, draw=0.0).candidate]
    return chosen


def measure_gain(
    champion: str,
    rows: Dataset,
    new_choices: NDArray[np.intp],
    champion_choices: NDArray[np.intp],
    *,
    average: Average,
    seed: int,
) -> AgainstChampion:
    """Return the mean reward per row, new minus champion, with its 95 % interval.

    Args:
        champion: its digest.
        rows: with a reward from every candidate.
        new_choices: (rows,) columns.
        champion_choices: (rows,) columns.
        average: what counts alike in the mean.
        seed: decides the bootstrap's draws.
    """
    differences = taken(rows.rewards, new_choices) - taken(rows.rewards, champion_choices)
    gain = paired_interval(differences, rows.datasets, average, seed=seed)
    return AgainstChampion(champion, gain.mean, gain.low, gain.high, len(rows))


def _load(store: ObjectStore, digest: str) -> Artifact:
    artifact = load_artifact(digest, lambda name: store.read(f"artifacts/{digest}/{name}").content)
    manifest = artifact.manifest
    if manifest.query_builder != BUILDER_VERSION:
        raise ArtifactIncompatibleError(
            f"it wants query builder {manifest.query_builder}, and this is {BUILDER_VERSION}"
        )
    if PRESET not in manifest.presets:
        raise ArtifactIncompatibleError(f"it lacks the preset {PRESET}")
    return artifact


def _shared(manifest: Manifest, candidates: Sequence[str]) -> dict[str, int]:
    """Return the column of each candidate that both the champion and the data know."""
    columns = {name: c for c, name in enumerate(candidates) if name in manifest.candidates}
    if not columns:
        raise DataError(
            f"the champion knows {', '.join(manifest.candidates)}, and the data scores "
            f"{', '.join(candidates)}: score a candidate of the champion's, or {_WAY_OUT}"
        )
    return columns


def _embed(
    champion: Artifact, texts: Sequence[str], cache_folder: Path, progress: Progress
) -> NDArray[np.float32]:
    record = champion.manifest.encoder
    encoder = OnnxEncoder(
        champion.encoder_onnx,
        champion.tokenizer,
        prefix=record.prefix,
        max_tokens=record.max_tokens,
    )
    # Named as training names it: with an unchanged encoder nothing is embedded twice.
    path = cache_path(cache_folder, champion.encoder_onnx, _spec(record))
    return embed(texts, encoder, cache_path=path, progress=progress)


def _spec(record: EncoderRecord) -> EncoderSpec:
    return EncoderSpec(
        name=record.name,
        pooling=record.pooling,  # type: ignore[arg-type]  # read back from what training wrote
        prefix=record.prefix,
        max_tokens=record.max_tokens,
        dims=record.dims,
        tokenizer_digest=record.tokenizer_sha256,
    )
