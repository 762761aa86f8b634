"""Whole networks against Keras, live and recorded."""

import json
import random
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers as kl

import converters
from converters import axes
from tests.converters.keras_oracle import assert_equals_keras, run_onnx

DATA = Path(__file__).parent / "data"


def unet(size: tuple[int | None, int | None] = (16, 24)) -> keras.Model:
    x = inputs = keras.Input((*size, 2), name="image")
    skips = []
    for level, filters in enumerate((4, 6)):
        x = kl.Conv2D(filters, 3, padding="same", use_bias=False, name=f"enc_{level}_conv")(x)
        x = kl.BatchNormalization(name=f"enc_{level}_bn")(x)
        x = kl.ReLU(name=f"enc_{level}_relu")(x)
        skips.append(x)
        x = kl.MaxPooling2D(name=f"enc_{level}_pool")(x)
    x = kl.Conv2D(8, 3, padding="same", activation="relu", name="bottom")(x)
    for level, filters in ((1, 6), (0, 4)):
        if level:
            x = kl.Conv2DTranspose(filters, 3, strides=2, padding="same", name=f"dec_{level}_up")(x)
        else:
            x = kl.UpSampling2D(interpolation="bilinear", name=f"dec_{level}_up")(x)
        x = kl.Concatenate(name=f"dec_{level}_join")([x, skips[level]])
        x = kl.Conv2D(filters, 3, padding="same", activation="relu", name=f"dec_{level}_conv")(x)
    return keras.Model(inputs, kl.Conv2D(1, 1, activation="sigmoid", name="mask")(x), name="u-net (small)")


def resnet() -> keras.Model:
    x = inputs = keras.Input((15, 18, 3))
    x = kl.Conv2D(4, 7, strides=2, padding="same")(x)
    for filters, strides in ((4, 1), (8, 2)):
        shortcut = x if strides == 1 else kl.Conv2D(filters, 1, strides=strides)(x)
        x = kl.BatchNormalization(scale=False)(kl.Conv2D(filters, 3, strides=strides, padding="same")(x))
        x = kl.BatchNormalization(center=False)(kl.Conv2D(filters, 3, padding="same")(kl.Activation("relu")(x)))
        x = kl.Activation("relu")(kl.Add()([shortcut, x]))
    x = kl.Dropout(0.3)(kl.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, kl.Dense(5, activation="softmax")(x))


def classifier() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((9, 12, 1)),
            kl.Conv2D(3, (3, 4), activation="relu"),
            kl.MaxPooling2D(),
            kl.Flatten(),
            kl.Dense(7, activation="tanh"),
            kl.Dense(4, activation="log_softmax"),
        ]
    )


def shared_layer() -> keras.Model:
    """One convolution for both images, called a third time on their sum."""
    left, right = keras.Input((8, 11, 3), name="left"), keras.Input((8, 11, 3), name="right")
    conv = kl.Conv2D(3, 3, padding="same", activation="relu", name="eye")
    return keras.Model([left, right], conv(kl.Add()([conv(left), conv(right)])))


def several_inputs_and_outputs() -> keras.Model:
    image, features = keras.Input((8, 11, 3), name="image"), keras.Input((5,), name="features")
    embedded = kl.Dense(4, name="embedded")(features)
    joined = kl.Add(name="joined")([kl.Conv2D(4, 3, name="seen")(image), embedded])
    return keras.Model([features, image], [joined, embedded, kl.GlobalAveragePooling2D(name="mean")(joined)])


NETWORKS = {
    "a U-Net": unet,
    "a network with shortcuts": resnet,
    "a Sequential classifier": classifier,
    "a layer that is called three times": shared_layer,
    "several inputs and outputs": several_inputs_and_outputs,
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_equals_keras(network: Any, tmp_path: Path) -> None:
    assert_equals_keras(network(), tmp_path)


def test_a_network_of_open_size_equals_keras_at_two_sizes(tmp_path: Path) -> None:
    for size in ((16, 24), (8, 12)):
        model = assert_equals_keras(unet((None, None)), tmp_path, sizes=[(*size, 2)])
        assert [str(size) for size in model.graph.inputs[0].shape] == ["N", "2", "H", "W"]


def test_the_order_of_the_list_does_not_matter(tmp_path: Path) -> None:
    def shuffle(description: dict[str, Any]) -> None:
        random.Random(3).shuffle(description["config"]["layers"])

    assert_equals_keras(unet(), tmp_path, edit=shuffle)


def test_inputs_and_outputs_keep_their_names_and_order(tmp_path: Path) -> None:
    graph = assert_equals_keras(several_inputs_and_outputs(), tmp_path).graph
    assert [value.name for value in graph.inputs] == ["features", "image"]
    assert [value.name for value in graph.outputs] == ["joined", "embedded", "mean"]


def test_a_shared_layer_has_its_parameters_once(tmp_path: Path) -> None:
    graph = assert_equals_keras(shared_layer(), tmp_path).graph
    assert list(graph.initializers) == ["eye.weight", "eye.bias"]
    assert {node.name for node in graph if node.op_type == "Relu"} == {"eye", "eye/1", "eye/2"}


def test_a_file_of_keras_2_equals_its_record() -> None:
    """The network of Keras 2 (tf_keras 2.21), with its weights and what it predicted."""
    model = converters.convert(DATA / "keras2_sequential.json")
    with h5py.File(DATA / "keras2_sequential.weights.h5") as weights:
        put(model, "conv1", weights, axes.convolution_kernel(2))
        put(model, "head", weights, axes.DENSE_KERNEL)
    record = np.load(DATA / "keras2_sequential.io.npz")
    (output,) = run_onnx(model, record["input_0"])
    np.testing.assert_allclose(output, record["output_0"], rtol=0, atol=1e-5 * record["output_0"].max())


def put(model: ir.Model, layer: str, weights: h5py.File, kernel: axes.AxisOrder) -> None:
    for parameter, variable, order in (("weight", "kernel", kernel), ("bias", "bias", axes.VECTOR)):
        values = order.to_onnx(weights[f"{layer}/{layer}/{variable}:0"][:])
        model.graph.initializers[f"{layer}.{parameter}"].const_value = ir.Tensor(values)


def test_every_node_says_which_layer_it_belongs_to(tmp_path: Path) -> None:
    keras_model = unet()
    keras_model.get_layer("bottom").trainable = False
    model = assert_equals_keras(keras_model, tmp_path)
    layers = json.loads(keras_model.to_json())["config"]["layers"]
    assert model.metadata_props["onnxgrid.network"] == "u-net (small)"
    for node in model.graph:
        described = layers[int(node.metadata_props["onnxgrid.order"])]
        assert node.metadata_props["onnxgrid.layer"] == described["name"]
        assert node.metadata_props["onnxgrid.class_name"] == described["class_name"]
        assert (node.metadata_props.get("onnxgrid.trainable") == "false") == (described["name"] == "bottom")
        assert node.name == node.outputs[0].name
        assert node.name == described["name"] or node.name.startswith(described["name"] + "/")
