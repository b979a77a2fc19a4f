"""Golden texts with real encoders: other rounding passes, and whatever is wrong is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.artifact import Artifact, load_artifact
from regroup.domain.golden import TEXTS, find_deviation, make_golden
from regroup.domain.prediction import Heads
from tests.local.sample_data import write_sample_data
from training.dataset import read_dataset
from training.encoder import SERVED, YARDSTICK, load_spec
from training.prepare import Options, load_encoder
from training.served_graph import quantise
from training.train import train

type Vector = NDArray[np.float32]


@pytest.fixture(scope="module", params=["cluster-mean", "ridge-cluster"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm: Path
) -> Artifact:
    """A small router of flat maps, and one of steep ones."""
    folder = tmp_path_factory.mktemp("golden")
    data = read_dataset(write_sample_data(folder / "sample.jsonl", rows=160))
    digest = train(
        data,
        minilm,
        folder / "artifact",
        options=Options(router=request.param, n_clusters=8),
        cache_folder=tmp_path_factory.getbasetemp() / "golden-cache",
    ).digest
    return load_artifact(digest, lambda name: (folder / "artifact" / name).read_bytes())


def found_in(
    artifact: Artifact, encode: Callable[[str], Vector], heads: Heads | None = None
) -> str | None:
    assert artifact.golden is not None
    served = heads or artifact.heads
    return find_deviation(artifact.golden, lambda text: served.predict(encode(text)))


def served_encoder(artifact: Artifact, **changes: Any) -> OnnxEncoder:
    record = artifact.manifest.encoder
    parts = {"onnx": artifact.encoder_onnx, "tokenizer": artifact.tokenizer, **changes}
    return OnnxEncoder(**parts, prefix=record.prefix, max_tokens=record.max_tokens)


def test_training_notes_what_the_very_files_predict(trained: Artifact) -> None:
    assert trained.golden is not None
    assert [one.text for one in trained.golden.texts] == list(TEXTS)
    encoder = served_encoder(trained)
    assert make_golden(encoder.encode, trained.heads) == trained.golden
    assert found_in(trained, encoder.encode) is None


def test_one_golden_text_is_cut(trained: Artifact) -> None:
    tokenizer = Tokenizer.from_buffer(trained.tokenizer)
    lengths = [len(tokenizer.encode(text).ids) for text in TEXTS]
    assert lengths.count(trained.manifest.encoder.max_tokens) == 1


@pytest.fixture(scope="module")
def unfused(minilm: Path) -> bytes:
    """The served graph before its operations were joined."""
    served: bytes = quantise(onnx.load(minilm / YARDSTICK)).SerializeToString()
    return served


def at_level(artifact: Artifact, graph: bytes, level: object) -> Callable[[str], Vector]:
    """Return an encoder whose graph onnxruntime optimises otherwise, and which rounds otherwise."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, ["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_buffer(artifact.tokenizer)

    def encode(text: str) -> Vector:
        tokens = np.array([tokenizer.encode(artifact.manifest.encoder.prefix + text).ids])
        inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        embedding: Vector = session.run(["embedding"], inputs)[0][0]
        return embedding

    return encode


def test_other_rounding_is_no_deviation(trained: Artifact, unfused: bytes) -> None:
    usual, differing = served_encoder(trained).encode, 0
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"):
        encode = at_level(trained, unfused, getattr(ort.GraphOptimizationLevel, level))
        differing += sum(bool((encode(text) != usual(text)).any()) for text in TEXTS)
        assert found_in(trained, encode) is None
    assert differing


def test_other_numbers_of_threads_are_no_deviation(trained: Artifact) -> None:
    assert found_in(trained, served_encoder(trained, threads=2).encode) is None


def test_what_int8_takes_away_is_no_deviation(trained: Artifact, minilm: Path) -> None:
    encoder = served_encoder(trained, onnx=(minilm / YARDSTICK).read_bytes())
    assert found_in(trained, encoder.encode) is None


def test_another_sound_encoder_of_as_many_dimensions_is_found(
    trained: Artifact, e5_small: Path
) -> None:
    encoder = load_encoder(e5_small, load_spec(e5_small))
    assert encoder.dims == trained.heads.dims
    assert found_in(trained, encoder.encode) is not None


def test_another_encoder_s_graph_under_the_right_tokenizer_is_found(
    trained: Artifact, e5_small: Path
) -> None:
    encoder = served_encoder(trained, onnx=(e5_small / SERVED).read_bytes())
    assert found_in(trained, encoder.encode) is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_tokenizer_with_permuted_ids_is_found(seed: int, trained: Artifact) -> None:
    fields = json.loads(trained.tokenizer)
    words = [word for word in fields["model"]["vocab"] if not word.startswith("[")]
    ids = np.random.default_rng(seed).permutation([fields["model"]["vocab"][w] for w in words])
    fields["model"]["vocab"] |= dict(zip(words, ids.tolist(), strict=True))
    encoder = served_encoder(trained, tokenizer=json.dumps(fields).encode())
    assert found_in(trained, encoder.encode) is not None


def test_a_tokenizer_that_keeps_capitals_is_found(trained: Artifact) -> None:
    fields = json.loads(trained.tokenizer)
    assert fields["normalizer"]["lowercase"]
    fields["normalizer"]["lowercase"] = False
    encoder = served_encoder(trained, tokenizer=json.dumps(fields).encode())
    assert found_in(trained, encoder.encode) is not None


def test_a_tokenizer_without_first_and_last_token_is_found(trained: Artifact) -> None:
    fields = json.loads(trained.tokenizer) | {"post_processor": None}
    encoder = served_encoder(trained, tokenizer=json.dumps(fields).encode())
    assert found_in(trained, encoder.encode) is not None


def test_heads_changed_over_between_candidates_are_found(trained: Artifact) -> None:
    heads, encode = trained.heads, served_encoder(trained).encode
    for shift in range(1, len(heads.candidates)):
        turned = replace(
            heads,
            weights=np.roll(heads.weights, shift, axis=1),
            bias=np.roll(heads.bias, shift, axis=1),
        )
        assert found_in(trained, encode, turned) is not None


def test_clusters_in_another_order_than_heads_are_found(trained: Artifact) -> None:
    heads, encode = trained.heads, served_encoder(trained).encode
    for shift in range(1, len(heads.centroids)):
        turned = replace(heads, centroids=np.roll(heads.centroids, shift, axis=0))
        assert found_in(trained, encode, turned) is not None
