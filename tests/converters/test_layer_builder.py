"""Tensors in Keras' order and channels first, and the way between: also where no layer of today leads there."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.layers.graph_builder import GraphBuilder
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import LAYERS
from converters.layers.tensor import Layout, Tensor
from converters.network import Call, Layer


@pytest.fixture
def graph() -> GraphBuilder:
    return GraphBuilder(
        opset=17, ir_version=9, seed=0, names=["a"], input_shape=None, input_layout=Layout.CHANNELS_FIRST
    )


@pytest.fixture
def builder(graph: GraphBuilder) -> LayerBuilder:
    layer = Layer("a", "Test", parse_json("{}", "net.json"), (), "net.json:1:1", trainable=True)
    return LayerBuilder(graph, layer, call=Call(()), order=0, call_name="a")


def tensor(layout: Layout, *stored: int | str) -> Tensor:
    return Tensor(ir.Value(name="x", shape=ir.Shape(stored), type=ir.TensorType(ir.DataType.FLOAT)), layout)


@pytest.mark.parametrize("shape", [("N", 8, 3), ("N", 8, 11, 3), ("N", 5, 8, 11, 3)])
def test_a_tensor_in_keras_order_is_moved_and_moved_back(
    shape: tuple[int | str, ...], graph: GraphBuilder, builder: LayerBuilder
) -> None:
    x = tensor(Layout.KERAS, *shape)
    moved = builder.channels_first(x)
    assert (moved.layout, moved.shape, moved.stored_shape) == (Layout.CHANNELS_FIRST, shape, ("N", 3, *shape[1:-1]))
    assert [node.op_type for node in graph.nodes] == ["Transpose"]
    back = builder.keras_order(moved)
    assert (back.layout, back.value) == (Layout.KERAS, x.value)
    assert len(graph.nodes) == 1


def test_two_orders_in_a_row_are_one(graph: GraphBuilder, builder: LayerBuilder) -> None:
    x = tensor(Layout.KERAS, "N", 5, 8, 3).value
    first = builder.transposed(x, (0, 2, 3, 1))
    second = builder.transposed(first, (0, 1, 3, 2))
    assert [tuple(value.shape or ()) for value in (first, second)] == [("N", 8, 3, 5), ("N", 8, 5, 3)]
    assert [node.inputs[0] for node in graph.nodes] == [x, x]
    assert builder.transposed(x, (0, 1, 2, 3)) is x


def test_a_tensor_that_is_right_is_left_alone(graph: GraphBuilder, builder: LayerBuilder) -> None:
    image, features = tensor(Layout.CHANNELS_FIRST, "N", 3, 8, 11), tensor(Layout.KERAS, "N", 3)
    assert builder.channels_first(image) is image
    assert builder.channels_first(features) is features
    assert builder.keras_order(features) is features
    assert graph.nodes == []


@pytest.mark.parametrize("class_name", ["Add", "Concatenate"])
def test_a_merge_brings_its_inputs_to_one_layout(class_name: str, graph: GraphBuilder, builder: LayerBuilder) -> None:
    config: Any = type("Config", (), {"axis": -1})
    inputs = [tensor(Layout.KERAS, "N", 8, 11, 3), tensor(Layout.CHANNELS_FIRST, "N", 3, 8, 11)]
    (merged,) = LAYERS[class_name].convert(config, inputs, builder)
    assert merged.layout is Layout.CHANNELS_FIRST
    assert graph.nodes[0].op_type == "Transpose"
    assert merged.shape[1:3] == (8, 11)


def test_axes_are_counted_as_keras_counts_them() -> None:
    image = tensor(Layout.CHANNELS_FIRST, "N", 3, 8, 11)
    assert image.shape == ("N", 8, 11, 3)
    assert [image.stored_axis(axis) for axis in range(4)] == [0, 2, 3, 1]
    assert [tensor(Layout.KERAS, "N", 8, 3).stored_axis(axis) for axis in range(3)] == [0, 1, 2]


def test_a_value_without_elements_is_refused(builder: LayerBuilder) -> None:
    x = tensor(Layout.KERAS, "N", 8, 3)
    bounds = [
        builder.constant(name, np.array([number], np.int64))
        for name, number in (("start", 9), ("end", 99), ("axis", 1))
    ]
    with pytest.raises(ConversionError) as error:
        builder.op("Slice", [x.value, *bounds])
    assert str(error.value) == (
        "net.json:1:1: layer 'a' (Test): what it gives, (N, 0, 3) in ONNX's order, is empty\n"
        "  Take less of its input away, or use a larger one."
    )
