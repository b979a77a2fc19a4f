"""The served encoder against vectors that torch and transformers made, and what it refuses."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.errors import ArtifactIncompatibleError, StoreError
from training.encoder import load_spec

DATA = Path(__file__).parents[1] / "data"
MAX_TOKENS = 256


@pytest.fixture(scope="module")
def golden() -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Texts with token ids, and their unit-length vectors."""
    rows = json.loads((DATA / "minilm_golden.json").read_text(encoding="utf-8"))["rows"]
    vectors = np.load(DATA / "minilm_golden.npy").astype(np.float32)
    return rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def load(folder: Path, graph: str = "encoder.onnx", prefix: str = "") -> OnnxEncoder:
    tokenizer = (folder / "tokenizer.json").read_bytes()
    return OnnxEncoder(
        (folder / graph).read_bytes(), tokenizer, prefix=prefix, max_tokens=MAX_TOKENS
    )


class Spy:
    """Stands before an encoder's session and keeps what it was fed."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self._session = encoder._session
        encoder._session = self
        self.fed: list[dict[str, NDArray[np.int64]]] = []

    def run(
        self, outputs: list[str], inputs: dict[str, NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]:
        self.fed.append(inputs)
        found: list[NDArray[np.float32]] = self._session.run(outputs, inputs)
        return found


@pytest.mark.parametrize(
    ("graph", "least", "mean"),
    [("encoder-fp32.onnx", 0.9999, 0.9999), ("encoder.onnx", 0.975, 0.994)],
)
def test_embeddings_agree_with_transformers(
    minilm: Path,
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
    graph: str,
    least: float,
    mean: float,
) -> None:
    rows, vectors = golden
    encoder = load(minilm, graph)
    embeddings = np.stack([encoder.encode(row["text"]) for row in rows])
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    cosines = (embeddings * vectors).sum(axis=1)
    assert cosines.min() >= least, rows[int(cosines.argmin())]["text"]
    assert cosines.mean() >= mean


def test_token_ids_equal_those_of_the_pure_python_tokenizer(
    minilm: Path, golden: tuple[list[dict[str, Any]], NDArray[np.float32]]
) -> None:
    encoder = load(minilm)
    spy = Spy(encoder)
    for row in golden[0]:
        encoder.encode(row["text"])
        assert spy.fed[-1]["input_ids"].tolist() == [row["ids"]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 2), ("a small red boat", 6), ("one two three", 5), ("word " * 400, MAX_TOKENS)],
)
def test_each_text_runs_at_its_own_length(minilm: Path, text: str, tokens: int) -> None:
    encoder = load(minilm)
    spy = Spy(encoder)
    encoder.encode(text)
    (fed,) = spy.fed
    assert fed["input_ids"].shape == fed["attention_mask"].shape == (1, tokens)
    assert fed["attention_mask"].all()


def test_prefix_is_put_before_the_text(minilm: Path) -> None:
    prefixed = load(minilm, prefix="query: ").encode("boats")
    np.testing.assert_array_equal(prefixed, load(minilm).encode("query: boats"))
    assert float(prefixed @ load(minilm).encode("boats")) < 0.999


def test_dims_are_those_of_the_spec(minilm: Path) -> None:
    assert load(minilm).dims == load_spec(minilm).dims == 384


def alter(tokenizer: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(tokenizer), **fields}).encode()


PADDING = {
    "strategy": {"Fixed": 128},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "[PAD]",
}
CUT_AT_128 = {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding": PADDING}, "pads"),
        ({"truncation": None}, "does not cut"),
        ({"truncation": CUT_AT_128}, "cuts at 128 tokens, and the manifest says 256"),
    ],
)
def test_tokenizer_that_pads_or_cuts_elsewhere_is_refused(
    minilm: Path, fields: dict[str, object], message: str
) -> None:
    tokenizer = alter((minilm / "tokenizer.json").read_bytes(), **fields)
    graph = (minilm / "encoder.onnx").read_bytes()
    with pytest.raises(ArtifactIncompatibleError, match=message):
        OnnxEncoder(graph, tokenizer, prefix="", max_tokens=MAX_TOKENS)


@pytest.mark.parametrize("content", [b"", b"no such thing", b"\x00\xff" * 40, b"{}"])
def test_unreadable_parts_are_refused(minilm: Path, content: bytes) -> None:
    graph = (minilm / "encoder.onnx").read_bytes()
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    with pytest.raises(ArtifactIncompatibleError, match="graph cannot be read"):
        OnnxEncoder(content, tokenizer, prefix="", max_tokens=MAX_TOKENS)
    with pytest.raises(ArtifactIncompatibleError, match="tokenizer cannot be read"):
        OnnxEncoder(graph, content, prefix="", max_tokens=MAX_TOKENS)


def test_weights_are_mapped_from_a_file_that_is_gone_when_the_encoder_is_there(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    encoder = load(minilm)
    assert list(tmp_path.iterdir()) == []
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    assert f"{tmp_path}/" in maps
    assert encoder.encode("a small red boat").shape == (384,)


def test_no_room_for_the_weights_is_no_fault_of_the_artifact(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StoreError, match="temporary files: make room"):
        load(minilm)


def test_weights_in_the_graph_embed_alike(minilm: Path) -> None:
    inside: bytes = onnx.load(minilm / "encoder.onnx").SerializeToString()
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    copied = OnnxEncoder(inside, tokenizer, prefix="", max_tokens=MAX_TOKENS)
    for text in ("", "a small red boat", "word " * 400):
        np.testing.assert_array_equal(copied.encode(text), load(minilm).encode(text))


@pytest.mark.parametrize("kept", [2, 9, 10, 5_000, 20_000_000, -1])
def test_a_file_that_is_cut_short_is_refused(minilm: Path, kept: int) -> None:
    graph = (minilm / "encoder.onnx").read_bytes()[:kept]
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    with pytest.raises(ArtifactIncompatibleError, match="graph cannot be read"):
        OnnxEncoder(graph, tokenizer, prefix="", max_tokens=MAX_TOKENS)


@pytest.mark.parametrize("start", [0, 17, 1 << 40, (1 << 64) - 1])
def test_a_file_that_names_a_wrong_place_for_its_graph_is_refused(minilm: Path, start: int) -> None:
    graph = (minilm / "encoder.onnx").read_bytes()
    graph = graph[:2] + start.to_bytes(8, "little") + graph[10:]
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    with pytest.raises(ArtifactIncompatibleError, match="graph cannot be read"):
        OnnxEncoder(graph, tokenizer, prefix="", max_tokens=MAX_TOKENS)


@pytest.mark.parametrize("laid_out", [True, False])
def test_weights_elsewhere_are_never_read(
    laid_out: bool, minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = (minilm / "encoder.onnx").read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(served)
    (tmp_path.parent / "weights").write_bytes(served)
    start = int.from_bytes(served[2:10], "little")
    for place in ("weights", "../weights", str(tmp_path / "weights")):
        model = onnx.load_from_string(served[start:])
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = place
        graph = (served[:start] if laid_out else b"") + model.SerializeToString()
        tokenizer = (minilm / "tokenizer.json").read_bytes()
        with pytest.raises(ArtifactIncompatibleError, match="graph cannot be read"):
            OnnxEncoder(graph, tokenizer, prefix="", max_tokens=MAX_TOKENS)


def table_graph(rows: int, *, mask: str = "attention_mask", kind: int = TensorProto.FLOAT) -> bytes:
    """A graph with the encoder's face that only looks up the first token in a table of ones."""
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [1, "length"])
        for name in ("input_ids", mask)
    ]
    output = helper.make_tensor_value_info("embedding", kind, [1, 4])
    table = helper.make_tensor("table", kind, [rows, 4], [1] * (4 * rows))
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["all"]),
        helper.make_node("ReduceMax", ["all"], ["embedding"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "table", tokens, [output], [table])
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "graph", [table_graph(30_522, mask="mask"), table_graph(30_522, kind=TensorProto.DOUBLE)]
)
def test_graph_with_another_face_is_refused(minilm: Path, graph: bytes) -> None:
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    with pytest.raises(ArtifactIncompatibleError, match="instead of"):
        OnnxEncoder(graph, tokenizer, prefix="", max_tokens=MAX_TOKENS)


def test_tokenizer_with_more_tokens_than_the_graph_is_refused(minilm: Path) -> None:
    tokenizer = (minilm / "tokenizer.json").read_bytes()
    assert OnnxEncoder(table_graph(30_522), tokenizer, prefix="", max_tokens=MAX_TOKENS).dims == 4
    with pytest.raises(ArtifactIncompatibleError, match="does not fit its tokenizer"):
        OnnxEncoder(table_graph(30_521), tokenizer, prefix="", max_tokens=MAX_TOKENS)
