"""The champion on new rows: it decides as serving does, and both sides are compared by row."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from regroup.adapters.object_store import open_object
from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.artifact import (
    ENCODER,
    HEADS,
    TOKENIZER,
    AgainstChampion,
    EncoderRecord,
    Manifest,
    Preset,
    describe_parts,
    write_artifact,
    write_heads,
)
from regroup.domain.pointer import Pointer
from regroup.domain.prediction import Heads
from regroup.errors import ArtifactCorruptError, ArtifactError, DataError
from tests.local.fakes import PATIENT
from tests.local.small_artifact import small_artifact
from tests.local.world import ask, small_catalog, small_heads, small_manifest, small_world
from training.champion import champion_choices, compare_with_champion, measure_gain
from training.dataset import Dataset, Matrix
from training.embeddings import embed
from training.encoder import load_spec
from training.intervals import Average
from training.prepare import cache_path
from training.publish import publish

NAMES = small_catalog().names
EMBEDDING = np.array([[1, 0]], np.float32)
GARDEN, CODE = "Write a friendly message about gardening.", "Write a function in Go."
DIGEST = "d" * 64


def dataset(
    texts: tuple[str, ...], rewards: Mapping[str, list[float]], datasets: list[str] | None = None
) -> Dataset:
    table = np.array(list(rewards.values())).T
    return Dataset(
        texts=texts,
        candidates=tuple(rewards),
        rewards=table,
        cost_usd=np.full(table.shape, np.nan),
        output_tokens=np.full(table.shape, np.nan),
        datasets=np.array(datasets or ["all"] * len(texts)),
        splits=np.array(["train"] * len(texts)),
        sha256="0" * 64,
    )


def chosen(
    rewards: Mapping[str, float],
    candidates: tuple[str, ...],
    *,
    default: str,
    preset: Preset,
    min_margin: float = 0.0,
    costs: Matrix | None = None,
) -> str:
    heads = small_heads(rewards)
    manifest = replace(
        small_manifest(heads.candidates, default=default),
        min_margin=min_margin,
        presets={"quality": preset},
    )
    columns = champion_choices(manifest, heads, EMBEDDING, candidates, costs)
    return candidates[int(columns[0])]


points = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9])  # few, so that there are ties


@given(
    rewards=st.fixed_dictionaries(dict.fromkeys(NAMES, points)),
    default=st.sampled_from(NAMES),
    weight=st.sampled_from([0.0, 100.0, 10_000.0]),
    margins=st.tuples(points, st.none() | points),
)
@PATIENT
def test_the_champion_decides_as_serving_does(
    rewards: dict[str, float], default: str, weight: float, margins: tuple[float, float | None]
) -> None:
    world = small_world(rewards=rewards)
    predictor = world.service.decider.releases.live.champion
    assert predictor is not None
    preset = Preset(weight, min_margin=margins[1])
    predictor.manifest = replace(
        predictor.manifest,
        default_candidate=default,
        min_margin=margins[0],
        presets={"quality": preset},
    )
    served = world.decide(ask(preset="quality"))
    costs = np.array([[served.expected_costs_usd[name] for name in NAMES]])
    found = chosen(
        rewards, NAMES, default=default, preset=preset, min_margin=margins[0], costs=costs
    )
    assert found == served.choice.candidate


REWARDS = {"gone": 0.9, "large": 0.6, "medium": 0.5, "small": 0.4}


@pytest.mark.parametrize(
    ("candidates", "default", "expected"),
    [
        (("large", "medium", "small"), "small", "large"),
        (("large", "medium", "small"), "medium", "medium"),  # the lead is within the margin
        (("large", "medium", "small"), "gone", "large"),
        (("medium", "small"), "gone", "medium"),
        (("large", "new", "small"), "small", "large"),
        (("new", "small"), "gone", "small"),
    ],
)
def test_only_candidates_that_the_data_scores_are_chosen_among(
    candidates: tuple[str, ...], default: str, expected: str
) -> None:
    found = chosen(REWARDS, candidates, default=default, preset=Preset(0.0, min_margin=0.15))
    assert found == expected


def test_no_candidate_in_common_is_refused_with_a_way_out() -> None:
    with pytest.raises(DataError, match=r"knows gone, large, .* scores new: .* --force 'reason'"):
        chosen(REWARDS, ("new",), default="gone", preset=Preset(0.0))


@pytest.mark.parametrize(
    ("average", "gain"),
    [("rows", (4 * 0.5 - 0.2) / 5), ("datasets", (0.5 - 0.2) / 2)],
)
def test_the_gain_is_the_new_router_s_reward_minus_the_champion_s(
    average: Average, gain: float
) -> None:
    rows = dataset(
        tuple("abcde"),
        {"x": [0.5, 0.6, 0.7, 0.8, 0.9], "y": [1.0, 0.1, 0.2, 0.3, 0.7]},
        ["large"] * 4 + ["small"],
    )
    new, champion = np.array([1, 0, 0, 0, 1]), np.array([0, 1, 1, 1, 0])
    found = measure_gain(DIGEST, rows, new, champion, average=average, seed=0)
    assert found.gain == pytest.approx(gain)
    assert found.gain_low <= found.gain <= found.gain_high
    assert (found.champion, found.rows) == (DIGEST, 5)
    back = measure_gain(DIGEST, rows, champion, new, average=average, seed=0)
    assert back.gain == -found.gain
    assert back.gain_low == pytest.approx(-found.gain_high)


def test_the_same_choices_gain_exactly_nothing() -> None:
    rows = dataset(tuple("abc"), {"x": [0.1, 0.5, 0.9], "y": [1.0, 0.0, 0.3]})
    choices = np.array([0, 1, 0])
    found = measure_gain(DIGEST, rows, choices, choices, average="rows", seed=0)
    assert found == AgainstChampion(DIGEST, 0.0, 0.0, 0.0, 3)


def champion(encoder: Path, *, prefix: str = "") -> tuple[Manifest, dict[str, bytes]]:
    """Return an artifact with a real encoder: `a` answers code, `b` all that is about gardens."""
    manifest, parts = small_artifact()
    spec = load_spec(encoder)
    parts |= {name: (encoder / name).read_bytes() for name in (ENCODER, TOKENIZER)}
    served = OnnxEncoder(
        parts[ENCODER], parts[TOKENIZER], prefix=prefix, max_tokens=spec.max_tokens
    )
    alike = np.stack([served.encode(CODE), served.encode(GARDEN)])
    heads = Heads(
        candidates=("a", "b"),
        centroids=np.zeros((1, spec.dims), np.float32),
        weights=alike[None],
        bias=np.zeros((1, 2), np.float32),
        token_weights=np.zeros((1, 2, spec.dims), np.float32),
        token_bias=np.zeros((1, 2), np.float32),
    )
    parts |= {HEADS: write_heads(heads), "kmeans.pkl": _kmeans(heads.centroids)}
    record = EncoderRecord(
        spec.name, spec.pooling, prefix, spec.max_tokens, spec.dims, spec.tokenizer_digest
    )
    manifest = replace(manifest, parts=describe_parts(parts), encoder=record, n_clusters=1)
    return manifest, parts


def _kmeans(centroids: NDArray[np.float32]) -> bytes:
    return pickle.dumps(KMeans(len(centroids), n_init=1).fit(centroids), 4)


ROWS = dataset(
    ("not judged", GARDEN, CODE, "Write a short poem about roses.", "Sort a list in Python."),
    {"a": [0.0, 0.1, 0.9, 0.2, 0.8], "b": [0.0, 0.8, 0.3, 0.9, 0.1], "new": [1.0] * 5},
)
JUDGED = np.array([1, 2, 3, 4])
CHAMPION_REWARD = (0.8 + 0.9 + 0.9 + 0.8) / 4


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file:{tmp_path}/store/pointer.json"


def compare(uri: str, cache: Path, data: Dataset = ROWS) -> AgainstChampion | None:
    """Compare a router that always chooses the last candidate."""
    store, key = open_object(uri)
    last = np.full(len(JUDGED), len(data.candidates) - 1)
    return compare_with_champion(
        store, key, data, last, JUDGED, average="rows", seed=0, cache_folder=cache
    )


def go_live(uri: str, folder: Path, artifact: tuple[Manifest, dict[str, bytes]]) -> str:
    write_artifact(folder, *artifact)
    store, key = open_object(uri)
    return publish(folder, store, key, who="ann", why="because").champion


def test_where_nothing_is_live_there_is_nothing_to_compare(uri: str, tmp_path: Path) -> None:
    assert compare(uri, tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_a_live_champion_is_read_embeds_and_decides(
    prefix: str, uri: str, tmp_path: Path, minilm: Path
) -> None:
    manifest, parts = champion(minilm, prefix=prefix)
    digest = go_live(uri, tmp_path / "artifact", (manifest, parts))
    found = compare(uri, tmp_path / "cache")
    assert found is not None
    assert (found.champion, found.rows) == (digest, len(JUDGED))
    assert found.gain == pytest.approx(1.0 - CHAMPION_REWARD)
    assert 0 < found.gain_low <= found.gain <= found.gain_high
    assert compare(uri, tmp_path / "cache") == found

    # Kept where training would keep it, and as the champion's own encoder gives it.
    spec = replace(load_spec(minilm), prefix=prefix)
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept == cache_path(tmp_path / "cache", parts[ENCODER], spec)
    served = OnnxEncoder(
        parts[ENCODER], parts[TOKENIZER], prefix=prefix, max_tokens=spec.max_tokens
    )
    known = embed([CODE], Refusing(), cache_path=kept)
    np.testing.assert_array_equal(known, [served.encode(CODE)])


class Refusing:
    """An encoder that must not be asked."""

    def encode(self, text: str) -> NDArray[np.float32]:
        raise AssertionError(text)


def test_a_champion_without_a_common_candidate_is_refused(
    uri: str, tmp_path: Path, minilm: Path
) -> None:
    go_live(uri, tmp_path / "artifact", champion(minilm))
    data = replace(ROWS, candidates=("c", "d", "new"))
    with pytest.raises(DataError, match="the champion knows a, b, and the data scores c, d, new"):
        compare(uri, tmp_path / "cache", data)
    assert not (tmp_path / "cache").exists()


def damaged(manifest: Manifest, parts: dict[str, bytes]) -> tuple[Manifest, dict[str, bytes]]:
    parts = parts | {ENCODER: b"no graph"}
    return replace(manifest, parts=describe_parts(parts)), parts


UNUSABLE = {
    "an encoder that is none": (damaged, "graph cannot be read"),
    "another query builder": (
        lambda manifest, parts: (replace(manifest, query_builder=9), parts),
        "it wants query builder 9, and this is 2",
    ),
    "no preset of that name": (
        lambda manifest, parts: (replace(manifest, presets={"economy": Preset(1.0)}), parts),
        "it lacks the preset quality",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_champion_that_cannot_be_used_is_told_from_none_at_all(
    name: str, uri: str, tmp_path: Path, minilm: Path
) -> None:
    change, reason = UNUSABLE[name]
    digest = go_live(uri, tmp_path / "artifact", change(*champion(minilm)))
    expected = rf"the champion {digest} cannot be used \(.*{reason}.*\): train without --champion"
    with pytest.raises(ArtifactError, match=expected):
        compare(uri, tmp_path / "cache")


def test_a_pointer_to_nothing_and_one_that_is_garbage_are_refused(uri: str, tmp_path: Path) -> None:
    store, key = open_object(uri)
    store.create(key, Pointer(DIGEST).to_bytes())
    with pytest.raises(ArtifactError, match=rf"the champion {DIGEST} cannot be used \(nothing"):
        compare(uri, tmp_path / "cache")
    store.replace(key, b"garbage", tag=store.read(key).tag)
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json is not a pointer"):
        compare(uri, tmp_path / "cache")
