"""The graph against a plain numpy forward pass, and what it refuses."""

import math
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from regroup.errors import DataError
from training.encoder_graph import (
    LOUD_NEURONS,
    BertConfig,
    Pooling,
    build_encoder_graph,
)

type Floats = NDArray[np.floating[Any]]

CONFIG = BertConfig(
    model_type="bert",
    hidden_act="gelu",
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=16,
    type_vocab_size=2,
    layer_norm_eps=1e-5,
)


def random_weights(seed: int = 1) -> dict[str, Floats]:
    """Weights of CONFIG under BertModel's names, in torch's (out, in) layout."""
    rng = np.random.default_rng(seed)
    hidden, wide = CONFIG.hidden_size, CONFIG.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG.vocab_size, hidden),
        "embeddings.position_embeddings.weight": (CONFIG.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": (CONFIG.type_vocab_size, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for i in range(CONFIG.num_hidden_layers):
        layer = f"encoder.layer.{i}"
        for name, n_out, n_in in (
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", wide, hidden),
            ("output.dense", hidden, wide),
        ):
            shapes[f"{layer}.{name}.weight"] = (n_out, n_in)
            shapes[f"{layer}.{name}.bias"] = (n_out,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{layer}.{name}.weight"] = shapes[f"{layer}.{name}.bias"] = (hidden,)
    # Norms that scale by about 1 keep the tokens apart, so that mixing them up would show.
    return {
        name: rng.normal(float(name.endswith("Norm.weight")), 0.15, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def forward(weights: dict[str, Floats], ids: list[int], pooling: Pooling) -> Floats:
    """BERT as its paper has it, for one text without padding."""

    def linear(name: str, x: Floats) -> Floats:
        product: Floats = x @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"]

    def norm(name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(name: str, x: Floats) -> Floats:
        query, key, value = (linear(f"{name}.self.{part}", x) for part in ("query", "key", "value"))
        mixed = []
        for head in range(4):
            at = slice(8 * head, 8 * head + 8)
            scores = np.exp(query[:, at] @ key[:, at].T / math.sqrt(8))
            mixed.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, at])
        return linear(f"{name}.output.dense", np.concatenate(mixed, axis=1))

    def gelu(x: Floats) -> Floats:
        erf: Floats = np.vectorize(math.erf)(x / math.sqrt(2))
        return x * (1 + erf) / 2

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm("embeddings.LayerNorm", x + weights["embeddings.token_type_embeddings.weight"][0])
    for i in range(2):
        layer = f"encoder.layer.{i}"
        x = norm(f"{layer}.attention.output.LayerNorm", x + attention(f"{layer}.attention", x))
        inner = gelu(linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    pooled = x.mean(axis=0) if pooling == "mean" else x[0]
    return pooled / np.linalg.norm(pooled)


def run(weights: dict[str, Floats], pooling: Pooling, rows: list[list[int]]) -> Floats:
    """Embed rows of token ids, the shorter ones padded."""
    graph = build_encoder_graph(CONFIG, weights, pooling)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    length = max(map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    embedding: Floats = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return embedding


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_graph_equals_a_plain_numpy_forward_pass(pooling: Pooling) -> None:
    weights = random_weights()
    rows = [[7], [3, 1, 4, 1, 5], list(range(16))]
    expected = np.stack([forward(weights, row, pooling) for row in rows])
    for row, vector in zip(rows, expected, strict=True):
        np.testing.assert_allclose(run(weights, pooling, [row]), vector[None], atol=2e-5)
    np.testing.assert_allclose(run(weights, pooling, rows), expected, atol=2e-5)


def test_the_neurons_that_write_loudest_are_computed_apart() -> None:
    weights = random_weights()
    write = weights["encoder.layer.1.output.dense.weight"]
    write[:, [40, 7]] *= 9
    graph = build_encoder_graph(CONFIG, weights, "mean").graph
    kernels = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    np.testing.assert_array_equal(
        kernels["encoder.layer.1.loud.out.kernel"], write[:, [7, 40]].T, strict=True
    )
    quiet = CONFIG.intermediate_size - LOUD_NEURONS
    assert kernels["encoder.layer.1.output.dense.kernel"].shape == (quiet, CONFIG.hidden_size)
    assert kernels["encoder.layer.1.intermediate.dense.kernel"].shape[1] == quiet


def test_poolings_differ() -> None:
    weights = random_weights()
    rows = [[3, 1, 4, 1, 5]]
    assert not np.allclose(run(weights, "mean", rows), run(weights, "cls", rows), atol=0.1)


def test_text_that_is_all_padding_gives_zeros_not_nan() -> None:
    graph = build_encoder_graph(CONFIG, random_weights(), "mean")
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    nothing = np.zeros((1, 4), np.int64)
    assert not session.run(None, {"input_ids": nothing, "attention_mask": nothing})[0].any()


def test_prefixed_and_half_precision_weights_are_read() -> None:
    halves = {f"bert.{name}": w.astype(np.float16) for name, w in random_weights().items()}
    plain = {name.removeprefix("bert."): w.astype(np.float32) for name, w in halves.items()}
    prefixed: dict[str, Any] = halves
    np.testing.assert_array_equal(run(prefixed, "mean", [[3, 1]]), run(plain, "mean", [[3, 1]]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "roberta"),
        ("hidden_act", "relu"),
        ("hidden_act", "gelu_new"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("num_attention_heads", 5),
    ],
)
def test_unknown_kind_of_model_is_refused(field: str, value: object) -> None:
    config = CONFIG.model_copy(update={field: value})
    with pytest.raises(DataError, match=field):
        build_encoder_graph(config, random_weights(), "mean")


def test_unknown_pooling_is_refused() -> None:
    pooling: Any = "max"
    with pytest.raises(DataError, match=r"pooling is 'max'.*'mean' or 'cls'"):
        build_encoder_graph(CONFIG, random_weights(), pooling)


@pytest.mark.parametrize("name", sorted(random_weights()))
def test_missing_weight_is_refused_by_name(name: str) -> None:
    weights = random_weights()
    del weights[name]
    with pytest.raises(DataError, match=name):
        build_encoder_graph(CONFIG, weights, "mean")


def test_weight_of_another_shape_is_refused() -> None:
    weights = random_weights()
    name = "encoder.layer.1.intermediate.dense.weight"
    weights[name] = weights[name].T
    with pytest.raises(DataError, match=r"shape \(32, 64\).*\(64, 32\)"):
        build_encoder_graph(CONFIG, weights, "mean")
