"""The file that is served: an ordinary ONNX file whose weights can be mapped."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from regroup.adapters.onnx_encoder import LAYOUT_MARK, WEIGHTS_PLACE
from training.served_graph import fuse, lay_out, quantise

WIDE = 64


def model() -> onnx.ModelProto:
    """Add two products of (1, WIDE) and GELU over one of them; one tensor is small."""
    rng = np.random.default_rng(3)
    weights = {
        "bytes": rng.integers(0, 9, 4_097, np.uint8),
        "one": rng.normal(0, 1, (WIDE, WIDE)).astype(np.float32),
        "other": rng.normal(0, 1, (WIDE, WIDE)).astype(np.float32),
        "small": rng.normal(0, 1, WIDE).astype(np.float32),
        "root.2": np.array(2**0.5, np.float32),
        "1": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "one"], ["product"], name="product"),
        helper.make_node("Div", ["product", "root.2"], ["scaled"]),
        helper.make_node("Erf", ["scaled"], ["erf"]),
        helper.make_node("Add", ["erf", "1"], ["gate"]),
        helper.make_node("Mul", ["product", "gate"], ["gated"]),
        helper.make_node("Mul", ["gated", "half"], ["gelu"]),
        helper.make_node("MatMul", ["x", "other"], ["apart"], name="apart"),
        helper.make_node("Add", ["gelu", "apart"], ["sum"]),
        helper.make_node("Add", ["sum", "small"], ["moved"]),
        helper.make_node("Cast", ["bytes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["total"], keepdims=0),
        helper.make_node("Add", ["moved", "total"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDE]) for name in "xy"]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "two products", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(source: str | bytes) -> NDArray[np.float32]:
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    x = np.linspace(-1, 1, WIDE, dtype=np.float32)[None]
    y: NDArray[np.float32] = session.run(None, {"x": x})[0]
    return y


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    path = tmp_path / WEIGHTS_PLACE
    path.write_bytes(lay_out(model()))
    return path


def test_laid_out_file_is_an_ordinary_onnx_file(laid_out: Path) -> None:
    onnx.checker.check_model(laid_out)
    before, after = model(), onnx.load(laid_out)
    values = [
        {one.name: numpy_helper.to_array(one).tolist() for one in each.graph.initializer}
        for each in (before, after)
    ]
    assert values[0] == values[1]
    assert [str(node) for node in before.graph.node] == [str(node) for node in after.graph.node]
    np.testing.assert_array_equal(run(str(laid_out)), run(before.SerializeToString()))


def test_large_weights_lie_before_the_graph_and_in_line(laid_out: Path) -> None:
    content = laid_out.read_bytes()
    assert content.startswith(LAYOUT_MARK)
    start = int.from_bytes(content[2:10], "little")
    graph = onnx.load_from_string(content[start:]).graph
    values = {one.name: numpy_helper.to_array(one).tobytes() for one in model().graph.initializer}
    outside = [one for one in graph.initializer if one.data_location == TensorProto.EXTERNAL]
    assert {one.name for one in outside} == {"bytes", "one", "other"}
    for tensor in outside:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = int(entries["offset"]), int(entries["length"])
        assert entries["location"] == laid_out.name
        assert offset % 64 == 0
        assert offset + length <= start
        assert content[offset : offset + length] == values[tensor.name]


def test_equal_models_are_laid_out_to_equal_bytes() -> None:
    assert lay_out(fuse(model())) == lay_out(fuse(model()))


def test_fusing_joins_operations_and_changes_no_result() -> None:
    before = model()
    after = fuse(before)
    kinds = [node.op_type for node in after.graph.node]
    assert "Gelu" in kinds
    assert "Erf" not in kinds
    assert {opset.domain for opset in after.opset_import} == {"", "com.microsoft"}
    names = [tensor.name for tensor in after.graph.initializer]
    assert names == sorted(names)
    np.testing.assert_allclose(
        run(after.SerializeToString()), run(before.SerializeToString()), rtol=1e-5
    )


def test_fusing_leaves_out_what_it_is_told_to() -> None:
    kinds = [node.op_type for node in fuse(model(), leave_out=["GeluFusionL2"]).graph.node]
    assert "Erf" in kinds


def test_named_products_stay_float() -> None:
    quantised = quantise(model(), keep_float=["apart"])
    kinds = {node.name: node.op_type for node in quantised.graph.node}
    assert kinds["apart"] == "MatMul"
    assert kinds["product_quant"] == "MatMulInteger"
