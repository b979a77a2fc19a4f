"""Other ways to write an encoder's served file, to be measured against the one that is shipped."""

import re
import tempfile
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from regroup.adapters.onnx_encoder import SLOWER_FUSIONS
from training import encoder_graph, served_graph
from training.encoder import EncoderName, resolve_source, settings_of
from training.encoder_graph import Pooling
from training.served_graph import fuse, lay_out, make_served, quantise
from training.sources import Source, read_source
from training.word_table import GATHERS

_INSIDE_ATTENTION = re.compile(
    r"(encoder\.layer\.\d+\.attention)\."
    r"(self\.\w+\.(split|heads)|products|scores|masked|shares|mixed|transposed|joined)"
)
_PROJECTION = re.compile(r"(encoder\.layer\.\d+\.attention)\.self\.(query|key|value)(\.product)?")


@dataclass(frozen=True)
class Encoder:
    """What graphs are made from."""

    source: Source
    pooling: Pooling

    def graph(self) -> onnx.ModelProto:
        """Return a new float32 graph."""
        return self.source.graph(self.pooling)

    @cached_property
    def quantised(self) -> onnx.ModelProto:
        """The graph before anything is fused; not to be changed."""
        return quantise(self.graph())

    @cached_property
    def fused(self) -> bytes:
        """As it is shipped, but with the weights where ONNX usually has them."""
        content: bytes = fuse(self.quantised).SerializeToString(deterministic=True)
        return content


def write_graphs(name: EncoderName, out: Path, wanted: Container[str]) -> None:
    """Write a file for each wanted one of `GRAPHS`, under its name, to a folder that is there."""
    encoder = Encoder(read_source(resolve_source(name)), settings_of(name)["pooling"])
    for graph, write in GRAPHS.items():
        if graph in wanted:
            (out / graph).write_bytes(write(encoder))


def _flat(encoder: Encoder) -> bytes:
    """As onnxruntime's own format has it, the flatbuffer of a .ort file."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.ort"
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(encoder.fused, options, ["CPUExecutionProvider"])
        return path.read_bytes()


def _unfused(encoder: Encoder) -> bytes:
    return lay_out(_copy(encoder.quantised))


def _fused_without(*names: str) -> Callable[[Encoder], bytes]:
    return lambda encoder: lay_out(fuse(encoder.quantised, leave_out=names))


def _float_products(pattern: str) -> Callable[[Encoder], bytes]:
    """Leave products in float32."""

    def write(encoder: Encoder) -> bytes:
        graph = encoder.graph()
        names = [node.name for node in graph.graph.node if re.fullmatch(pattern, node.name)]
        return lay_out(fuse(quantise(graph, keep_float=[*GATHERS, *names])))

    return write


def _loud_among_others(encoder: Encoder) -> bytes:
    with patch.object(encoder_graph, "LOUD_NEURONS", 0):
        graph = encoder.graph()
    nothing = [node.name for node in graph.graph.node if ".loud." in node.name]
    return lay_out(fuse(quantise(graph, keep_float=[*GATHERS, *nothing])))


def _eight_bits(encoder: Encoder) -> bytes:
    def quantiser(*parts: object, **options: object) -> None:
        quantize_dynamic(*parts, **{**options, "reduce_range": False})

    with patch.object(served_graph, "quantize_dynamic", quantiser):
        return make_served(encoder.graph())


def _one_attention(encoder: Encoder) -> bytes:
    """Let one node do what is between query, key, value and the joined heads of each layer."""
    graph = _copy(encoder.quantised)
    nodes = [helper.make_node("Cast", ["attention_mask"], ["mask.int"], to=TensorProto.INT32)]
    for node in graph.graph.node:
        inside = _INSIDE_ATTENTION.fullmatch(node.name)
        if inside is None:
            nodes.append(_copy(node))
        elif inside[2] == "joined":
            ends = [f"{inside[1]}.self.{part}" for part in ("query", "key", "value")]
            joined = helper.make_node(
                "MultiHeadAttention",
                [*ends, "", "mask.int"],
                [node.name],
                name=node.name,
                domain="com.microsoft",
                num_heads=encoder.source.config.num_attention_heads,
            )
            nodes.append(joined)
    _replace_nodes(graph, nodes)
    return lay_out(fuse(graph))


def _one_projection(encoder: Encoder) -> bytes:
    """Let one product give query, key and value of each layer, and cut it in three."""
    graph = encoder.graph()
    values = {one.name: one for one in graph.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.graph.node:
        part = _PROJECTION.fullmatch(node.name)
        if part is None:
            nodes.append(_copy(node))
        elif part[2] == "query" and part[3]:
            name = f"{part[1]}.self"
            ends = [f"{name}.{end}" for end in ("query", "key", "value")]
            for kind in ("kernel", "bias"):
                found = [numpy_helper.to_array(values[f"{end}.{kind}"]) for end in ends]
                joined = numpy_helper.from_array(np.concatenate(found, -1), f"{name}.{kind}")
                graph.graph.initializer.append(joined)
            nodes += _projection(name, node.input[0], ends)
    _replace_nodes(graph, nodes)
    return make_served(graph)


def _projection(name: str, tokens: str, ends: Sequence[str]) -> Iterator[onnx.NodeProto]:
    product, affine = f"{name}.product", f"{name}.affine"
    yield helper.make_node("MatMul", [tokens, f"{name}.kernel"], [product], name=product)
    yield helper.make_node("Add", [product, f"{name}.bias"], [affine], name=affine)
    yield helper.make_node("Split", [affine], ends, name=f"{name}.split", axis=-1)


def _copy[Message: (onnx.ModelProto, onnx.NodeProto)](message: Message) -> Message:
    copied: Message = type(message).FromString(message.SerializeToString())
    return copied


def _replace_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    del model.graph.node[:]
    model.graph.node.extend(nodes)


GRAPHS: Mapping[str, Callable[[Encoder], bytes]] = {
    "inside": lambda encoder: encoder.fused,
    "flat": _flat,
    "unfused": _unfused,
    "skip-layer-norm": _fused_without(),
    "split-gelu": _fused_without(*SLOWER_FUSIONS, "GeluFusionL2", "BiasGeluFusion"),
    "split-products": _fused_without(
        *SLOWER_FUSIONS, "DynamicQuantizeMatMulFusion", "MatMulIntegerToFloatFusion"
    ),
    "one-attention": _one_attention,
    "one-projection": _one_projection,
    "loud-among-others": _loud_among_others,
    "loud-in-float": _float_products(r"encoder\.layer\.\d+\.loud\.(in|out)\.product"),
    "two-in-float": _float_products(r"encoder\.layer\.[01]\.output\.dense\.product"),
    "eight-bits": _eight_bits,
}
"""How to write each file; all but what the name says is as shipped."""

OTHER_NUMBERS = ("loud-among-others", "loud-in-float", "two-in-float", "eight-bits")
"""Those whose embeddings differ by more than rounding."""
