"""Whole networks given back to Keras, whatever container they came in; and what stays of their names and order."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import applications
from keras import layers as kl

import converters
from converters.errors import ConversionError
from converters.to_keras import to_keras
from converters.weights import network_layers, read_weights
from onnxgrid.transplant.files import fill_from_file
from tests.converters.keras_oracle import Edit, convert_keras, put_weights, random_inputs, randomize, run_onnx
from tests.converters.keras_round_trip import (
    assert_predicts_the_same,
    given_back,
    layer_config,
    names,
    predictions,
)
from tests.converters.test_applications import vary
from tests.converters.test_nested import MODELS, sequentials
from tests.converters.test_networks import NETWORKS, several_inputs_and_outputs, unet
from tests.converters.test_random_networks import network as random_network

KERAS2 = Path(__file__).parents[1] / "data" / "keras2"

EXAMPLES = sorted((Path(__file__).parents[3] / "models").glob("digits_*.json"))


def assert_comes_back(model: keras.Model, folder: Path, edit: Edit | None = None) -> keras.Model:
    """The model that was given back, once it was found to predict what the first one does."""
    randomize(model)
    inputs = random_inputs([tuple(size or 24 for size in x.shape[1:]) for x in model.inputs])
    back = given_back(convert_keras(model, folder, edit), folder)
    assert_predicts_the_same(back, predictions(model, inputs), inputs)
    return back


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_comes_back(network: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = network()
    back = assert_comes_back(model, tmp_path)
    assert isinstance(back, keras.Model)
    assert not isinstance(back, keras.Sequential)
    assert [tuple(x.shape) for x in back.inputs] == [tuple(x.shape) for x in model.inputs]
    assert [tuple(y.shape) for y in back.outputs] == [tuple(y.shape) for y in model.outputs]


@pytest.mark.parametrize(("model", "layers"), MODELS.values(), ids=MODELS)
def test_models_within_models_come_back_as_one_flat_network(
    model: Callable[[], keras.Model], layers: list[str], tmp_path: Path
) -> None:
    back = assert_comes_back(model(), tmp_path)
    flat_names = [layer.name for layer in back.layers if layer.weights]
    assert sorted(flat_names) == sorted(layer.replace(".", "_") for layer in layers)


def test_a_shared_layer_comes_back_as_one(tmp_path: Path) -> None:
    back = assert_comes_back(sequentials(), tmp_path)
    assert [len(layer._inbound_nodes) for layer in back.layers if layer.weights] == [2, 2]


def test_open_sizes_come_back_open(tmp_path: Path) -> None:
    back = assert_comes_back(unet((None, None)), tmp_path)
    assert back.input_shape == (None, None, None, 2)


def test_an_output_that_is_an_input_and_one_that_stands_twice_come_back(tmp_path: Path) -> None:
    x = keras.Input((5,), name="x")
    y = kl.Dense(3, name="y")(x)
    back = assert_comes_back(keras.Model(x, [y, x, y]), tmp_path)
    assert [tensor.name for tensor in back.outputs] == [back.outputs[0].name, "x", back.outputs[0].name]


def test_layers_are_listed_as_keras_lists_them_however_the_file_does(tmp_path: Path) -> None:
    def shuffle(description: dict[str, Any]) -> None:
        random.Random(3).shuffle(description["config"]["layers"])

    model = unet()
    assert_comes_back(model, tmp_path, shuffle)  # `given_back` compares the order with that of Keras
    assert names(to_keras(convert_keras(model, tmp_path, shuffle), "net.onnx").json) == [x.name for x in model.layers]


def test_names_that_keras_refuses_change_and_stay_apart(tmp_path: Path) -> None:
    layers = [{"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 5]}}]
    layers += [{"class_name": "Dense", "config": {"name": name, "units": 4}} for name in ("b/1 a", "b_1_a", "b.1.a")]
    (tmp_path / "net.json").write_text(json.dumps({"name": "u/net (1.0)", "layers": layers}))
    converted = converters.convert(tmp_path / "net.json")
    back = given_back(converted, tmp_path)
    assert back.name == "u_net__1_0_"
    assert [layer.name for layer in back.layers] == ["x", "b_1_a_1", "b_1_a", "b_1_a_2"]
    inputs = random_inputs([(5,)])
    assert_predicts_the_same(back, run_onnx(converted, *inputs), inputs)


@pytest.mark.parametrize("name", ["seq", "unet", "vol", "multi", "operations", "nested", "attention", "cudnn"])
def test_a_network_of_keras_2_comes_back_as_one_of_keras_3(name: str, tmp_path: Path) -> None:
    """Networks, weights and predictions of tf_keras 2.21."""
    record = np.load(KERAS2 / f"{name}.io.npz")
    inputs, outputs = ([record[key] for key in sorted(record) if key.startswith(kind)] for kind in ("in", "out"))
    model = converters.convert(KERAS2 / f"{name}.json")
    report = fill_from_file(KERAS2 / f"{name}.weights_legacy.h5", model, "net.onnx", strict=True)
    assert report.counts()["copied"] == len(report.plan.targets)
    assert_predicts_the_same(given_back(model, tmp_path), outputs, inputs)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_network_comes_back(path: Path, tmp_path: Path) -> None:
    converted = converters.convert(path)
    back = given_back(converted, tmp_path)
    inputs = random_inputs([tuple(back.input_shape[1:])])
    assert_predicts_the_same(back, run_onnx(converted, *inputs), inputs)
    frozen = {layer["name"] for layer in layers_of(path) if layer["config"].get("trainable") is False}
    assert {layer.name for layer in back.layers if not layer.trainable} == frozen


def layers_of(path: Path) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = json.loads(path.read_text())["config"]["layers"]
    return layers


FAMILIES = {
    "models within it, and layers of its own": (applications.ConvNeXtTiny, 32),
    "means that it was adapted to": (applications.EfficientNetB0, 33),
    "operations": (applications.MobileNetV3Small, 33),
}


@pytest.mark.parametrize(("build", "size"), FAMILIES.values(), ids=FAMILIES)
def test_a_network_of_keras_applications_comes_back(build: Any, size: int, tmp_path: Path) -> None:
    model = build(weights=None, input_shape=(size, size, 3), classes=7, classifier_activation=None)
    vary(model)
    (tmp_path / "net.json").write_text(model.to_json())
    converted = converters.convert(tmp_path / "net.json")
    put_weights(converted, model)
    image = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    assert_predicts_the_same(given_back(converted, tmp_path), predictions(model, [image]), [image])


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_random_network_comes_back(data: st.DataObject, tmp_path: Path) -> None:
    assert_comes_back(random_network(data.draw), tmp_path)


def test_what_came_back_converts_to_the_same_graph(tmp_path: Path) -> None:
    first = convert_keras(several_inputs_and_outputs(), tmp_path)
    (tmp_path / "back.json").write_text(converters.to_keras_json(first))
    second = converters.convert(tmp_path / "back.json")
    assert [str(node) for node in second.graph] == [str(node) for node in first.graph]
    assert list(second.graph.initializers) == list(first.graph.initializers)
    assert converters.to_keras_json(second) == converters.to_keras_json(first)


def test_the_weights_that_were_written_for_keras_are_read_for_the_model(tmp_path: Path) -> None:
    converted = convert_keras(unet(), tmp_path)
    given_back(converted, tmp_path)
    read = read_weights(tmp_path / "back.weights.h5", network_layers(converted))
    for name, weight in read.items():
        np.testing.assert_array_equal(weight.read(), converted.graph.initializers[name].const_value.numpy())


def keras_object(module: str, class_name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


LAYERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing but what says something is written": (
        {
            "class_name": "Dense",
            "config": {"units": 3, "activation": None, "kernel_regularizer": None, "dtype": "float32"},
        },
        {"class_name": "Dense", "config": {"units": 3}},
    ),
    "an initializer by name": (
        {"class_name": "Dense", "config": {"units": 3, "kernel_initializer": "he_normal"}},
        {
            "class_name": "Dense",
            "config": {
                "units": 3,
                "kernel_initializer": keras_object("keras.initializers", "HeNormal"),
            },
        },
    ),
    "a regularizer of Keras 2": (
        {
            "class_name": "Dense",
            "config": {"units": 3, "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.5}}},
        },
        {
            "class_name": "Dense",
            "config": {
                "units": 3,
                "kernel_regularizer": keras_object("keras.regularizers", "L1L2", l1=0.0, l2=0.5),
            },
        },
    ),
    "a constraint by name": (
        {"class_name": "Dense", "config": {"units": 3, "bias_constraint": "non_neg"}},
        {
            "class_name": "Dense",
            "config": {
                "units": 3,
                "bias_constraint": keras_object("keras.constraints", "NonNeg"),
            },
        },
    ),
    "normalized instances": (
        {"class_name": "InstanceNormalization", "config": {"scale": True, "beta_regularizer": "l2", "epsilon": 0.5}},
        {
            "class_name": "GroupNormalization",
            "config": {"groups": -1, "axis": -1, "epsilon": 0.5, "center": False, "scale": True}
            | {"beta_regularizer": keras_object("keras.regularizers", "L2")},
        },
    ),
    "a frozen layer": (
        {"class_name": "Dense", "config": {"units": 3, "trainable": False}},
        {"class_name": "Dense", "config": {"units": 3, "trainable": False}},
    ),
    "a frozen layer without weights": (
        {"class_name": "ReLU", "config": {"trainable": False}},
        {"class_name": "ReLU", "config": {"trainable": False}},
    ),
    "a frozen layer that Keras cannot freeze": (
        {"class_name": "SpatialDropout1D", "config": {"rate": 0.5, "trainable": False}},
        {"class_name": "SpatialDropout1D", "config": {"rate": 0.5}},
    ),
    "an alias": (
        {"class_name": "SyncBatchNormalization", "config": {}},
        {"class_name": "BatchNormalization", "config": {}},
    ),
    "words in capital letters": (
        {"class_name": "Flatten", "config": {"data_format": "Channels_Last"}},
        {"class_name": "Flatten", "config": {"data_format": "channels_last"}},
    ),
    "a format that the file leaves to Keras": (
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Flatten", "config": {"data_format": "channels_last"}},
    ),
}


def one_layer(layer: dict[str, Any], folder: Path) -> ir.Model:
    config = {"name": "tested", **layer["config"]}
    network = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4, 5]}},
        {**layer, "config": config},
    ]
    (folder / "net.json").write_text(json.dumps(network))
    return converters.convert(folder / "net.json")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("layer", "written"), LAYERS.values(), ids=LAYERS)
def test_a_layer_is_written_as_keras_3_wants_it(layer: dict[str, Any], written: dict[str, Any], tmp_path: Path) -> None:
    text = converters.to_keras_json(one_layer(layer, tmp_path))
    assert layer_config(text, "tested") == {"module": "keras.layers", **written}
    keras.models.model_from_json(text)


def test_penalties_that_keras_lacks_are_left_out_with_a_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = one_layer({"class_name": "Dense", "config": {"units": 3, "kernel_regularizer": "Lasso"}}, tmp_path)
    caplog.clear()
    assert layer_config(converters.to_keras_json(model), "tested")["config"] == {"units": 3}
    assert [record.getMessage() for record in caplog.records] == [
        "model 'Unknown': layer 'tested' (Dense): \"kernel_regularizer\" is Lasso, which is none of Keras 3: left out"
    ]


def test_all_layers_that_cannot_be_given_back_are_told_at_once(tmp_path: Path) -> None:
    volume = {"kernel_size": 1, "depth_multiplier": 1}
    network = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4, 4, 4, 2]}},
        {"class_name": "DepthwiseConv3D", "config": {"name": "a", **volume}},
        {"class_name": "UpSampling3D", "config": {"name": "b", "interpolation": "trilinear"}},
    ]
    (tmp_path / "net.json").write_text(json.dumps(network))
    with pytest.raises(ConversionError) as error:
        converters.to_keras_json(converters.convert(tmp_path / "net.json"))
    assert str(error.value) == (
        "model 'Unknown': 2 layers cannot be given back\n"
        "  layer 'a' (DepthwiseConv3D): cannot be given back: Keras has no depthwise convolution over three axes\n"
        "    Write it as a Conv3D with as many groups as it has input channels, and convert again.\n"
        "  layer 'b' (UpSampling3D): cannot be given back: "
        "its \"interpolation\" is 'trilinear', for which Keras 3 has no option\n"
        "    Leave the key out, and convert again.\n"
        "  Nothing was written."
    )


def test_channels_first_where_keras_has_no_format_is_refused(tmp_path: Path) -> None:
    network = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 2, 8]}},
        {"class_name": "Cropping1D", "config": {"name": "cut", "data_format": "channels_first"}},
    ]
    (tmp_path / "net.json").write_text(json.dumps(network))
    with pytest.raises(ConversionError) as error:
        converters.to_keras_json(converters.convert(tmp_path / "net.json"))
    assert str(error.value) == (
        "model 'Unknown': layer 'cut' (Cropping1D): cannot be given back: "
        "its \"data_format\" is 'channels_first', for which Keras 3 has no option\n"
        '  Give its input the channels last, and write "data_format": "channels_last".'
    )
