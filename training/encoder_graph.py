"""The ONNX graph of a BERT sentence encoder, written straight from its weights, without torch.

The graph takes `input_ids` and `attention_mask`, int64 (batch, length), and gives `embedding`,
float32 (batch, hidden) of unit length: pooling and normalisation are part of it. Every token has
token type 0, so that row is folded into the table of positions. The order of operations follows
the original implementation, as onnxruntime fuses GELU by recognising it. The feed-forward part of a
layer is a sum over neurons, written as two sums: its few loud neurons, and all others.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from regroup.errors import DataError

type Pooling = Literal["mean", "cls"]
"""How token vectors become one: their mean, or the first token's."""

type Weights = Mapping[str, NDArray[Any]]

POOLINGS = ("mean", "cls")

LOUD_NEURONS = 2
"""How many neurons of a layer's feed-forward part are computed apart from the others.

In most layers one or two are many times louder: the norm of their output weights is 3 to 10, the
median 0.9, and their activation reaches 70 where the others' reach 6. Quantised with one scale, the
others would lose their digits to them, so these two have scales of their own.
`make bench-levers` prints what that is worth.
"""

_OPSET, _IR_VERSION = 17, 8
_MASKED = -1e4
"""Added to the scores of padding: exp() of it is 0 in float32."""


class BertConfig(BaseModel):
    """What the graph needs of a model's `config.json`; other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: str
    hidden_act: str
    position_embedding_type: str = "absolute"
    is_decoder: bool = False
    vocab_size: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_hidden_layers: PositiveInt
    num_attention_heads: PositiveInt
    max_position_embeddings: PositiveInt
    type_vocab_size: PositiveInt
    layer_norm_eps: PositiveFloat

    @property
    def head_size(self) -> int:
        """How many numbers of a token's vector one attention head works on."""
        return self.hidden_size // self.num_attention_heads


def build_encoder_graph(config: BertConfig, weights: Weights, pooling: Pooling) -> onnx.ModelProto:
    """Return the encoder's float32 graph.

    Args:
        config: the model's sizes and kind.
        weights: BertModel's parameters by name, with or without the prefix `bert.`.
        pooling: `mean` or `cls`.

    Raises:
        DataError: the model is of a kind that this builder does not know, or a weight is missing
            or has another shape than the configuration says.
    """
    _refuse_unknown(config, pooling)
    graph = _Graph(weights)
    keep = graph.node("Cast", "keep", "attention_mask", to=TensorProto.FLOAT)
    mask = _mask(graph, keep)
    tokens = _embeddings(graph, config)
    for layer in range(config.num_hidden_layers):
        tokens = _layer(graph, config, f"encoder.layer.{layer}", tokens, mask)
    pooled = _mean(graph, tokens, keep) if pooling == "mean" else _first(graph, tokens)
    norm = graph.node("ReduceL2", "l2", pooled, axes=[-1], keepdims=1)
    graph.node("Div", "embedding", pooled, _at_least(graph, "l2.safe", norm))
    return graph.model(config.hidden_size)


def _refuse_unknown(config: BertConfig, pooling: str) -> None:
    known: list[tuple[str, object, tuple[object, ...]]] = [
        ("model_type", config.model_type, ("bert",)),
        ("hidden_act", config.hidden_act, ("gelu",)),
        ("position_embedding_type", config.position_embedding_type, ("absolute",)),
        ("is_decoder", config.is_decoder, (False,)),
        ("pooling", pooling, POOLINGS),
    ]
    for what, value, accepted in known:
        if value not in accepted:
            raise DataError(
                f"{what} is {value!r}, and an encoder can only be built with "
                f"{' or '.join(map(repr, accepted))}: choose a BERT sentence encoder such as "
                "all-MiniLM-L6-v2 or multilingual-e5-small"
            )
    if config.hidden_size % config.num_attention_heads:
        raise DataError(
            f"hidden_size {config.hidden_size} is not a multiple of num_attention_heads "
            f"{config.num_attention_heads}: config.json is damaged, fetch the model again"
        )


class _Graph:
    """Collects nodes and constants; a node's name is also the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = {name.removeprefix("bert."): value for name, value in weights.items()}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, name: str, *inputs: str, **attributes: object) -> str:
        named: dict[str, Any] = {"name": name, **attributes}
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **named))
        return name

    def numbers(self, name: str, value: float | NDArray[Any]) -> str:
        return self._constant(name, np.asarray(value, np.float32))

    def integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def weight(self, name: str, *shape: int) -> NDArray[np.float32]:
        if name not in self._weights:
            raise DataError(
                f"the weights hold no {name!r}: they are not those of a BertModel that config.json "
                "describes, so fetch model.safetensors and config.json of one model together"
            )
        value = self._weights[name]
        if value.shape != shape:
            raise DataError(
                f"weight {name!r} has shape {value.shape}, but config.json asks for {shape}: "
                "fetch model.safetensors and config.json of one model together"
            )
        return value.astype(np.float32)

    def model(self, dims: int) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dims])
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, "sentence-encoder", inputs, [output], constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="regroup"
        )

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name


def _embeddings(graph: _Graph, config: BertConfig) -> str:
    hidden = config.hidden_size
    words = graph.weight("embeddings.word_embeddings.weight", config.vocab_size, hidden)
    places = graph.weight(
        "embeddings.position_embeddings.weight", config.max_position_embeddings, hidden
    )
    types = graph.weight("embeddings.token_type_embeddings.weight", config.type_vocab_size, hidden)
    length = graph.node("Shape", "length", "input_ids", start=1, end=2)
    table = graph.numbers("positions.table", places + types[0])
    position = graph.node("Slice", "positions", table, graph.integers("zero", 0), length)
    word = graph.node("Gather", "words", graph.numbers("words.table", words), "input_ids")
    return _norm(graph, config, "embeddings.LayerNorm", graph.node("Add", "sum", word, position))


def _mask(graph: _Graph, keep: str) -> str:
    """Return (batch, 1, 1, length): 0 where a token counts, very low where it is padding."""
    padding = graph.node("Sub", "padding", graph.numbers("one", 1.0), keep)
    score = graph.node("Mul", "padding.score", padding, graph.numbers("masked", _MASKED))
    return graph.node("Unsqueeze", "mask", score, graph.integers("axes.1_2", 1, 2))


def _layer(graph: _Graph, config: BertConfig, name: str, tokens: str, mask: str) -> str:
    seen = _attention(graph, config, f"{name}.attention", tokens, mask)
    seen = graph.node("Add", f"{name}.attention.residual", seen, tokens)
    seen = _norm(graph, config, f"{name}.attention.output.LayerNorm", seen)
    quiet, loud = _feed_forward(graph, config, name, seen)
    inner = graph.node("Add", f"{name}.output.residual", quiet, seen)
    inner = graph.node("Add", f"{name}.output.sum", inner, loud)
    return _norm(graph, config, f"{name}.output.LayerNorm", inner)


def _feed_forward(graph: _Graph, config: BertConfig, name: str, tokens: str) -> tuple[str, str]:
    """Return what the quiet neurons write, the bias included, and what the loud ones write."""
    hidden, wide = config.hidden_size, config.intermediate_size
    # torch keeps (out, in): a row of `read` and a column of `write` belong to one neuron.
    read = graph.weight(f"{name}.intermediate.dense.weight", wide, hidden)
    bias = graph.weight(f"{name}.intermediate.dense.bias", wide)
    write = graph.weight(f"{name}.output.dense.weight", hidden, wide)
    by_loudness = np.argsort(-np.linalg.norm(write.astype(np.float64), axis=0), kind="stable")
    loud, quiet = (np.sort(part) for part in np.split(by_loudness, [LOUD_NEURONS]))

    inner = _affine(graph, f"{name}.intermediate.dense", tokens, read[quiet], bias[quiet])
    written = graph.weight(f"{name}.output.dense.bias", hidden)
    inner = _gelu(graph, f"{name}.gelu", inner)
    inner = _affine(graph, f"{name}.output.dense", inner, write[:, quiet], written)

    few = _affine(graph, f"{name}.loud.in", tokens, read[loud], bias[loud])
    few = _gelu(graph, f"{name}.loud.gelu", few)
    return inner, _product(graph, f"{name}.loud.out", few, write[:, loud])


def _attention(graph: _Graph, config: BertConfig, name: str, tokens: str, mask: str) -> str:
    query = _heads(graph, config, f"{name}.self.query", tokens, (0, 2, 1, 3))
    key = _heads(graph, config, f"{name}.self.key", tokens, (0, 2, 3, 1))
    value = _heads(graph, config, f"{name}.self.value", tokens, (0, 2, 1, 3))
    scale = graph.numbers("root", config.head_size**0.5)
    scores = graph.node("MatMul", f"{name}.products", query, key)
    scores = graph.node("Div", f"{name}.scores", scores, scale)
    scores = graph.node("Add", f"{name}.masked", scores, mask)
    shares = graph.node("Softmax", f"{name}.shares", scores, axis=-1)
    mixed = graph.node("MatMul", f"{name}.mixed", shares, value)
    mixed = graph.node("Transpose", f"{name}.transposed", mixed, perm=(0, 2, 1, 3))
    shape = graph.integers("shape.joined", 0, 0, config.hidden_size)
    mixed = graph.node("Reshape", f"{name}.joined", mixed, shape)
    return _linear(graph, f"{name}.output.dense", mixed, config.hidden_size, config.hidden_size)


def _heads(
    graph: _Graph, config: BertConfig, name: str, tokens: str, order: tuple[int, ...]
) -> str:
    """Project and split: (batch, heads, length, head_size), the last two swapped for keys."""
    flat = _linear(graph, name, tokens, config.hidden_size, config.hidden_size)
    shape = graph.integers("shape.heads", 0, 0, config.num_attention_heads, config.head_size)
    split = graph.node("Reshape", f"{name}.split", flat, shape)
    return graph.node("Transpose", f"{name}.heads", split, perm=order)


def _linear(graph: _Graph, name: str, tokens: str, n_in: int, n_out: int) -> str:
    weights = graph.weight(f"{name}.weight", n_out, n_in)
    return _affine(graph, name, tokens, weights, graph.weight(f"{name}.bias", n_out))


def _affine(
    graph: _Graph,
    name: str,
    tokens: str,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> str:
    product = _product(graph, name, tokens, weights)
    return graph.node("Add", name, product, graph.numbers(f"{name}.bias", bias))


def _product(graph: _Graph, name: str, tokens: str, weights: NDArray[np.float32]) -> str:
    """Multiply by (out, in) weights."""
    kernel = graph.numbers(f"{name}.kernel", weights.T)
    return graph.node("MatMul", f"{name}.product", tokens, kernel)


def _norm(graph: _Graph, config: BertConfig, name: str, tokens: str) -> str:
    scale, bias = (
        graph.numbers(f"{name}.{part}", graph.weight(f"{name}.{part}", config.hidden_size))
        for part in ("weight", "bias")
    )
    epsilon = config.layer_norm_eps
    return graph.node("LayerNormalization", name, tokens, scale, bias, axis=-1, epsilon=epsilon)


def _gelu(graph: _Graph, name: str, tokens: str) -> str:
    """GELU by erf, in the one order of operations that onnxruntime fuses."""
    scaled = graph.node("Div", f"{name}.scaled", tokens, graph.numbers("root.2", 2**0.5))
    erf = graph.node("Erf", f"{name}.erf", scaled)
    gate = graph.node("Add", f"{name}.gate", erf, graph.numbers("one", 1.0))
    gated = graph.node("Mul", f"{name}.gated", tokens, gate)
    return graph.node("Mul", name, gated, graph.numbers("half", 0.5))


def _mean(graph: _Graph, tokens: str, keep: str) -> str:
    weight = graph.node("Unsqueeze", "pool.weight", keep, graph.integers("axes.2", 2))
    kept = graph.node("Mul", "pool.kept", tokens, weight)
    axis = graph.integers("axes.1", 1)
    total = graph.node("ReduceSum", "pool.total", kept, axis, keepdims=0)
    count = graph.node("ReduceSum", "pool.count", keep, axis, keepdims=1)
    return graph.node("Div", "pool.mean", total, _at_least(graph, "pool.safe", count))


def _first(graph: _Graph, tokens: str) -> str:
    index = graph.node("Constant", "pool.index", value_int=0)
    return graph.node("Gather", "pool.first", tokens, index, axis=1)


def _at_least(graph: _Graph, name: str, value: str) -> str:
    """Keep a divisor above 0: a text whose mask is all 0 gives zeros instead of NaN."""
    return graph.node("Max", name, value, graph.numbers("tiny", 1e-9))
