"""What the graph looks like, and how it reaches its file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import converters
from converters.errors import ConversionError
from tests.converters.keras_oracle import run_onnx

CONV = {"filters": 4, "kernel_size": 3, "padding": "same"}


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}}


def image(*shape: int | None) -> dict[str, Any]:
    return layer("InputLayer", "x", batch_shape=[7, *shape])


NETWORK = [
    image(8, 12, 3),
    layer("Conv2D", "conv1/conv", **CONV, activation="relu"),
    layer("BatchNormalization", "conv1/bn", scale=False, trainable=False),
    layer("MaxPooling2D", "pool"),
    layer("UpSampling2D", "up"),
    layer("Dropout", "drop", rate=0.25),
    layer("Flatten", "flat"),
    layer("Dense", "dense", units=5),
    layer("Activation", "end", activation="linear"),
]


@pytest.fixture
def convert(tmp_path: Path) -> Any:
    def converted(layers: Any = NETWORK, **options: Any) -> ir.Model:
        path = tmp_path / "net.json"
        path.write_text(json.dumps(layers))
        return converters.convert(path, **options)

    return converted


def test_what_is_left_out_is_told_once_the_rest_is_converted(convert: Any, caplog: pytest.LogCaptureFixture) -> None:
    def network(activation: str) -> dict[str, Any]:
        unused = {**layer("InputLayer", "unused", batch_shape=[None, 4]), "inbound_nodes": []}
        used = {**layer("InputLayer", "x", batch_shape=[None, 4]), "inbound_nodes": []}
        last = {**layer("Activation", "y", activation=activation), "inbound_nodes": [[["x", 0, 0]]]}
        return {"class_name": "Functional", "config": {"layers": [used, unused, last]}}

    convert(network("relu"))
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "no output depends on 'unused'; left out of the graph"
    ]
    caplog.clear()
    with pytest.raises(ConversionError):
        convert(network("no such"))
    assert not caplog.messages


def test_the_graph_is_what_the_conventions_say(convert: Any) -> None:
    model = convert()
    assert (model.ir_version, dict(model.opset_imports), model.producer_name) == (9, {"": 17}, "onnxgrid")
    assert [(v.name, str(v.shape)) for v in model.graph.inputs] == [("x", "[N,3,8,12]")]
    assert [(v.name, str(v.shape)) for v in model.graph.outputs] == [("end", "[N,5]")]
    assert [(node.op_type, node.name) for node in model.graph] == [
        ("Conv", "conv1/conv/Conv"),
        ("Relu", "conv1/conv"),
        ("BatchNormalization", "conv1/bn"),
        ("MaxPool", "pool"),
        ("Resize", "up"),
        ("Dropout", "drop"),
        ("Transpose", "flat/Transpose"),
        ("Flatten", "flat"),
        ("Gemm", "end"),  # the last layer has no node, and gives the output its name
    ]
    assert {name: tuple(value.shape) for name, value in model.graph.initializers.items()} == {
        "conv1/conv.weight": (4, 3, 3, 3),
        "conv1/conv.bias": (4,),
        "conv1/bn.weight": (4,),
        "conv1/bn.bias": (4,),
        "conv1/bn.running_mean": (4,),
        "conv1/bn.running_var": (4,),
        "up/scales": (4,),
        "drop/ratio": (),
        "dense.weight": (5, 384),
        "dense.bias": (5,),
    }


def test_nodes_carry_their_layer(convert: Any) -> None:
    nodes = {node.name: dict(node.metadata_props) for node in convert().graph}
    relu = {"onnxgrid.layer": "conv1/conv", "onnxgrid.class_name": "Conv2D", "onnxgrid.order": "1"}
    axes = {"onnxgrid.keras_axes": '{"conv1/conv.weight": [[3, 3, 3, 4], [3, 2, 0, 1]]}'}
    assert nodes["conv1/conv"] == relu
    assert nodes["conv1/conv/Conv"] == relu | axes
    assert nodes["conv1/bn"] == {
        "onnxgrid.layer": "conv1/bn",
        "onnxgrid.class_name": "BatchNormalization",
        "onnxgrid.order": "2",
        "onnxgrid.trainable": "false",
        "onnxgrid.fixed": '["conv1/bn.weight"]',
    }


def test_every_value_has_a_type_and_a_shape(convert: Any) -> None:
    for node in convert().graph:
        for value in node.outputs:
            assert value.dtype is ir.DataType.FLOAT
            assert value.shape is not None


def test_a_fixed_scale_is_one_and_a_fixed_shift_zero(convert: Any) -> None:
    ignored = {"class_name": "Constant", "config": {"value": 3}}
    norm = layer(
        "BatchNormalization", "bn", scale=False, center=False, gamma_initializer=ignored, beta_initializer=ignored
    )
    graph = convert([image(8, 12, 3), norm]).graph
    np.testing.assert_array_equal(graph.initializers["bn.weight"].const_value.numpy(), np.ones(3))
    np.testing.assert_array_equal(graph.initializers["bn.bias"].const_value.numpy(), np.zeros(3))


def test_same_seed_same_bytes(convert: Any, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.onnx", "b.onnx", "c.onnx")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        converters.save_model(convert(seed=seed), file)
    first, second, other = (file.read_bytes() for file in files)
    assert first == second
    assert first != other


def test_a_layer_draws_the_same_whatever_stands_around_it(convert: Any) -> None:
    alone = convert([image(8, 12, 3), layer("Conv2D", "conv1/conv", **CONV)]).graph.initializers["conv1/conv.weight"]
    among = convert().graph.initializers["conv1/conv.weight"]
    np.testing.assert_array_equal(alone.const_value.numpy(), among.const_value.numpy())


def test_an_input_shape_takes_the_place_of_the_file_s(convert: Any) -> None:
    model = convert(input_shape=(3, 16, 4))
    assert str(model.graph.inputs[0].shape) == "[N,3,16,4]"
    assert model.graph.initializers["dense.weight"].shape == (5, 256)


def test_a_layer_with_nothing_to_do_leaves_no_node(convert: Any) -> None:
    nodes = [node.name for node in convert([*NETWORK[:2], layer("Activation", "still"), layer("ReLU", "end")]).graph]
    assert nodes == ["conv1/conv/Conv", "conv1/conv", "end"]


ENDS = [
    image(5) | {"inbound_nodes": []},
    layer("ReLU", "a") | {"inbound_nodes": ["x"]},
    layer("Activation", "b", activation="linear") | {"inbound_nodes": ["a"]},
]


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (["a", "b"], ["a", "b"]),
        (["b", "a"], ["b", "a"]),
        (["a", "a"], ["a", "a/Identity"]),
        (["b", "b"], ["b", "b/Identity"]),
        (["x", "a"], ["x/Identity", "a"]),
    ],
)
def test_outputs_have_names_of_their_own(outputs: list[str], names: list[str], convert: Any) -> None:
    model = convert({"layers": ENDS, "output_layers": [[name, 0, 0] for name in outputs]})
    assert [value.name for value in model.graph.outputs] == names
    x = np.array([[-1, 2, -3, 4, -5]], np.float32)
    for name, y in zip(outputs, run_onnx(model, x), strict=True):
        np.testing.assert_array_equal(y, x if name == "x" else np.maximum(x, 0))


def test_intermediate_names_give_way_to_layers(convert: Any) -> None:
    layers = [image(8, 12, 3), layer("Conv2D", "a", **CONV, activation="relu"), layer("ReLU", "a/Conv")]
    assert [node.name for node in convert(layers).graph] == ["a/Conv_1", "a", "a/Conv"]


def test_axes_of_size_one_are_not_transposed(convert: Any) -> None:
    assert [node.op_type for node in convert([image(8, 12, 1), layer("Flatten", "flat")]).graph] == ["Flatten"]
    assert [node.op_type for node in convert([image(1, 1, 3), layer("Flatten", "flat")]).graph] == ["Flatten"]


def test_two_open_inputs_do_not_claim_one_size(convert: Any) -> None:
    inputs = [
        layer("InputLayer", name, batch_shape=[None, None, None, 2]) | {"inbound_nodes": []}
        for name in ("left", "right")
    ]
    graph = convert([*inputs, layer("Add", "sum") | {"inbound_nodes": ["left", "right"]}]).graph
    assert [str(v.shape) for v in graph.inputs] == ["[N,2,H,W]", "[N,2,right_H,right_W]"]


SPLIT = {
    "class_name": "Split",
    "module": "keras.src.ops.numpy",
    "config": {"name": "cut", "indices_or_sections": 2, "axis": 1},
    "inbound_nodes": [[["x", 0, 0]]],
}


def outputs_of_a_split(*numbers: int) -> dict[str, Any]:
    outputs = [["cut", 0, number] for number in numbers]
    return {"layers": [image(8, 12, 3) | {"inbound_nodes": []}, SPLIT], "output_layers": outputs}


def test_outputs_of_a_layer_are_named_after_it_with_their_number(convert: Any) -> None:
    model = convert(outputs_of_a_split(1, 0))
    assert [(v.name, str(v.shape)) for v in model.graph.outputs] == [("cut:1", "[N,3,4,12]"), ("cut", "[N,3,4,12]")]
    x = np.random.default_rng(0).standard_normal((2, 8, 12, 3)).astype(np.float32)
    second, first = run_onnx(model, x)
    np.testing.assert_array_equal(np.concatenate([first, second], 1), x)


def test_an_output_that_is_not_there_is_refused(convert: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        convert(outputs_of_a_split(2))
    message = "asks for output 2 of layer 'cut', which has 2 outputs (the first is 0)\n  Write a number from 0 to 1."
    place = (tmp_path / "net.json").read_text().rindex('["cut"') + 1
    assert str(error.value) == f"{tmp_path / 'net.json'}:1:{place}: {message}"
    with pytest.raises(ConversionError, match=r"output 1 of layer 'x', which has one output \(number 0\)\n  Write 0\."):
        convert({**outputs_of_a_split(0), "output_layers": [["x", 0, 1]]})
