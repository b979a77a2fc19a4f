"""Turn an encoder's float32 graph into the `encoder.onnx` that is served.

Three steps, each of which spares the classifier time or memory: products become int8, operations
that onnxruntime would fuse at every load are fused once, and weights are laid out so that they can
be mapped into memory instead of being copied. Equal graphs give equal bytes.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from regroup.adapters.onnx_encoder import LAYOUT_MARK, SLOWER_FUSIONS, WEIGHTS_PLACE
from training.word_table import GATHERS

_MAPPED_FROM_BYTES = 1 << 12
"""Smaller tensors stay in the graph."""
_ALIGNED_BYTES = 64
"""Weights begin at a multiple of this in the file, as wide as the widest register."""
_WEIGHTS_TAG = b"\xca\x3e"
"""Of a protobuf field that ONNX does not have, number 1001, that holds bytes."""
_LENGTH_BYTES, _START_BYTES = 5, 8
_ONLY_ERRORS = 3


def make_served(graph: onnx.ModelProto) -> bytes:
    """Return the content of `encoder.onnx` for a graph of `encoder_graph`, which is changed."""
    return lay_out(fuse(quantise(graph)))


def quantise(graph: onnx.ModelProto, *, keep_float: Sequence[str] = GATHERS) -> onnx.ModelProto:
    """Return a graph, which is changed, whose products are int8.

    Args:
        graph: of `encoder_graph`.
        keep_float: names of nodes that are left as they are.
    """
    # The graph has neither constants to fold nor nodes to fuse before quantisation. Saying so
    # keeps onnxruntime from warning through the root logger.
    add_pre_process_metadata(graph)
    with _root_logger_handled(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            graph,
            path,
            per_channel=True,
            # 7-bit weights: without VNNI, sums of 8-bit products saturate, and a classifier on such
            # a CPU would embed differently from training on another.
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep_float),
        )
        return onnx.load(path)


def fuse(model: onnx.ModelProto, *, leave_out: Sequence[str] = SLOWER_FUSIONS) -> onnx.ModelProto:
    """Return a model as onnxruntime would run it, but for what only one kind of CPU can run.

    Args:
        model: is not changed.
        leave_out: names of optimisations.
    """
    options = ort.SessionOptions()
    # The level above may rearrange weights for the CPU at hand; this one only joins operations.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = _ONLY_ERRORS
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "fused.onnx")
        ort.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(leave_out),
        )
        fused = onnx.load(options.optimized_model_filepath)
    _tidy(fused)
    return fused


def lay_out(model: onnx.ModelProto) -> bytes:
    """Return a model, which is changed, as one ONNX file that has its weights before the graph.

    It begins with two fields that readers of ONNX skip: where the graph begins, 8 bytes, and all
    large weights. The graph refers to them as external data in a file of this one's name, so that
    any reader finds them, and a reader of the graph alone needs to map, not to copy them.
    """
    weights = bytearray()
    header = len(LAYOUT_MARK) + _START_BYTES + len(_WEIGHTS_TAG) + _LENGTH_BYTES
    weights += bytes(-header % _ALIGNED_BYTES)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= _MAPPED_FROM_BYTES:
            weights += bytes(-(header + len(weights)) % _ALIGNED_BYTES)
            offset = header + len(weights)
            weights += tensor.raw_data
            _refer(tensor, offset, len(tensor.raw_data))
    start = (header + len(weights)).to_bytes(_START_BYTES, "little")
    length = _varint(len(weights))
    graph = model.SerializeToString(deterministic=True)
    return b"".join((LAYOUT_MARK, start, _WEIGHTS_TAG, length, weights, graph))


def _refer(tensor: TensorProto, offset: int, size: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_PLACE), ("offset", offset), ("length", size)):
        tensor.external_data.add(key=key, value=str(value))


def _varint(number: int) -> bytes:
    """Return protobuf's form of a number, filled up to a fixed length."""
    sevens = [number >> 7 * place & 127 for place in range(_LENGTH_BYTES)]
    return bytes([*(seven | 128 for seven in sevens[:-1]), sevens[-1]])


def _tidy(model: onnx.ModelProto) -> None:
    """Drop what onnxruntime notes down and nobody needs; put in order what may come in any."""
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    tensors = sorted(model.graph.initializer, key=lambda tensor: str(tensor.name))
    for field, kept in ((model.opset_import, opsets), (model.graph.initializer, tensors)):
        kept = [type(one).FromString(one.SerializeToString()) for one in kept]
        del field[:]
        field.extend(kept)


@contextmanager
def _root_logger_handled() -> Iterator[None]:
    """Give the root logger a handler: onnxruntime's `logging.info` would leave one on stderr."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
