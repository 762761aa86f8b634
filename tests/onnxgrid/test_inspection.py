"""The summary of models and weight files: layers, shapes and counts."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from converters.errors import ConversionError, WeightFileError
from converters.port_layout import LAYOUT_KEY, PortLayout, state_layout
from onnxgrid.cli.inspect import totals_lines
from onnxgrid.inspection import LayerSummary, PortSummary, TensorSummary, inspect_model
from tests.small_models import numbered, save_small_model, small_model

ARRAYS = {
    "conv.weight": numbered((3, 2, 3, 5)),
    "conv.bias": numbered((3,)),
    "norm.weight": numbered((3,)),
    "norm.bias": numbered((3,)),
    "norm.running_mean": numbered((3,)),
    "norm.running_var": numbered((3,)),
}


def parameter(name, shape, kind="parameter"):
    return TensorSummary(name, kind, "float32", shape, int(np.prod(shape)) * 4)


def test_a_converted_model_is_summarised_by_layer(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS, frozen=("norm",), fixed=("norm.bias",))
    summary = inspect_model(path)
    assert (summary.file, summary.name, summary.opset, summary.ir_version) == (str(path), "net", 17, 9)
    assert summary.inputs == (PortSummary("x", "float32", ("N", 2, 5, 4)),)
    assert summary.outputs == (PortSummary("flat", "float32", ("N", 3, 5, 4)),)
    shape = ("N", 3, 5, 4)
    assert summary.layers == (
        LayerSummary(
            "conv",
            "Conv",
            ("Conv",),
            shape,
            (parameter("conv.weight", (3, 2, 3, 5)), parameter("conv.bias", (3,))),
            True,
        ),
        LayerSummary(
            "norm",
            "BatchNormalization",
            ("BatchNormalization",),
            shape,
            (
                parameter("norm.weight", (3,)),
                parameter("norm.bias", (3,), "constant"),
                parameter("norm.running_mean", (3,), "statistic"),
                parameter("norm.running_var", (3,), "statistic"),
            ),
            False,
        ),
        LayerSummary(
            "flat", "Flatten", ("Reshape",), shape, (TensorSummary("flat/shape", "constant", "int64", (2,), 16),), True
        ),
    )
    assert summary.total_parameters == 90 + 3 + 3
    assert summary.trainable_parameters == 90 + 3
    assert summary.statistics == 6
    assert summary.bytes == (90 + 3 + 4 * 3) * 4 + 16


def chain(*layers):
    """A model of one input and a chain of nodes; each layer is (order, class_name, operators)."""
    value = ir.val("x", dtype=ir.DataType.FLOAT, shape=ir.Shape(["N", 3]))
    inputs, nodes = [value], []
    for order, class_name, operators in layers:
        for operator in operators:
            metadata = {"onnxgrid.layer": f"l{order}", "onnxgrid.class_name": class_name, "onnxgrid.order": str(order)}
            nodes.append(ir.node(operator, [value], name=f"l{order}/{operator}", metadata_props=metadata))
            value = nodes[-1].outputs[0]
            value.name = nodes[-1].name
    return ir.Model(ir.Graph(inputs, [value], nodes=nodes, opset_imports={"": 17}, name="net"), ir_version=9)


OPERATIONS = {  # CONFIG.md, section 12: layers, an implicit input, and fused activations
    "input layer and two layers": ([(1, "Conv2D", ["Conv"]), (2, "Dense", ["Gemm"])], 3),
    "no input layer in the source": ([(0, "Conv2D", ["Conv"]), (1, "Dense", ["Gemm"])], 3),
    "a fused activation counts": ([(1, "Conv2D", ["Conv", "Relu"]), (2, "Dense", ["Gemm", "Softmax"])], 5),
    "an activation layer counts once": ([(1, "Conv2D", ["Conv"]), (2, "Activation", ["Relu"])], 3),
    "a linear activation layer has no node and counts": ([(1, "Conv2D", ["Conv"]), (3, "Dense", ["Gemm"])], 4),
    "a layer of several nodes counts once": ([(1, "Flatten", ["Transpose", "Flatten"])], 2),
}


@pytest.mark.parametrize(("layers", "operations"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_are_counted_as_in_the_training_log(layers, operations, tmp_path):
    ir.save(chain(*layers), tmp_path / "a.onnx")
    assert inspect_model(tmp_path / "a.onnx").operations == operations


def test_a_foreign_graph_is_summarised_by_node(tmp_path):
    text = """
        <ir_version: 9, opset_import: ["" : 17]>
        foreign (float[2, 3] x) => (float[2, 4] y)
        <float[3, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> {
            h = MatMul (x, w)
            y = Relu (h)
        }
    """
    ir.save(ir.from_onnx_text(text), tmp_path / "a.onnx")
    summary = inspect_model(tmp_path / "a.onnx")
    assert summary.layers == (
        LayerSummary("MatMul_0", "", ("MatMul",), None, (parameter("w", (3, 4)),), True),
        LayerSummary("Relu_1", "", ("Relu",), (2, 4), (), True),
    )
    assert (summary.name, summary.operations, summary.total_parameters) == ("foreign", 2, 12)


def test_layouts_are_those_that_the_model_states(tmp_path):
    model = small_model(ARRAYS)
    state_layout(model.graph.inputs[0], PortLayout.CHANNELS_LAST)
    ir.save(model, tmp_path / "a.onnx")
    summary = inspect_model(tmp_path / "a.onnx")
    assert (summary.inputs[0].layout, summary.outputs[0].layout) == (PortLayout.CHANNELS_LAST, None)
    written = summary.to_json()
    assert (written["inputs"][0]["layout"], written["outputs"][0]["layout"]) == ("channels_last", None)
    assert [line.split(": ")[1] for line in totals_lines(summary)[:2]] == [
        "x float32 (N, 2, 5, 4), channels last",
        "flat float32 (N, 3, 5, 4)",
    ]


def test_a_layout_that_is_none_is_refused(tmp_path):
    model = small_model(ARRAYS)
    model.graph.inputs[0].metadata_props[LAYOUT_KEY] = "sideways"
    ir.save(model, tmp_path / "a.onnx")
    with pytest.raises(ConversionError) as error:
        inspect_model(tmp_path / "a.onnx")
    assert str(error.value) == (
        "'x', metadata 'onnxgrid.layout': says 'sideways', which is no order of axes that we know\n"
        "  Write one of channels_first, channels_last, keras, or remove it."
    )


def test_external_data_is_not_read(tmp_path):
    ir.save(small_model(ARRAYS), tmp_path / "a.onnx", external_data="a.bin", size_threshold_bytes=0)
    (tmp_path / "a.bin").unlink()
    assert inspect_model(tmp_path / "a.onnx").total_parameters == 90 + 3 + 6


def test_a_torch_checkpoint_is_summarised_by_the_names_of_its_weights(tmp_path):
    torch = pytest.importorskip("torch", reason="reads a .pt file")
    state = {name: torch.from_numpy(array.copy()) for name, array in ARRAYS.items()}
    torch.save({"model": state, "epoch": 2}, tmp_path / "a.pt")
    summary = inspect_model(tmp_path / "a.pt")
    assert [(layer.name, layer.parameters, layer.trainable) for layer in summary.layers] == [
        ("conv", 93, None),
        ("norm", 6, None),
    ]
    assert (summary.total_parameters, summary.trainable_parameters, summary.statistics) == (99, None, 6)
    assert (summary.name, summary.opset, summary.operations) == (None, None, None)


def test_the_summary_survives_json(tmp_path):
    summary = inspect_model(save_small_model(tmp_path / "a.onnx", ARRAYS))
    read = json.loads(json.dumps(summary.to_json()))
    assert read["totals"] == {
        "parameters": 99,
        "trainable_parameters": 99,
        "statistics": 6,
        "operations": 4,
        "bytes": (90 + 3 + 4 * 3) * 4 + 16,
    }
    assert read["layers"][0] == {
        "name": "conv",
        "class_name": "Conv",
        "operators": ["Conv"],
        "output_shape": ["N", 3, 5, 4],
        "tensors": [
            {"name": "conv.weight", "kind": "parameter", "dtype": "float32", "shape": [3, 2, 3, 5], "bytes": 360},
            {"name": "conv.bias", "kind": "parameter", "dtype": "float32", "shape": [3], "bytes": 12},
        ],
        "trainable": True,
        "parameters": 93,
    }
    assert sorted(read) == ["file", "inputs", "ir_version", "layers", "name", "opset", "outputs", "totals"]


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_text("no model")
    with pytest.raises(WeightFileError) as caught:
        inspect_model(tmp_path / "a.onnx")
    assert str(caught.value) == (
        f"{tmp_path / 'a.onnx'}: is not an ONNX model, or only a part of one\n  Give a whole .onnx file."
    )
