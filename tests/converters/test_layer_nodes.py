"""The nodes that layers become: those that a person would draw, and no Transpose that the next one takes back."""

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl

from tests.converters.keras_oracle import convert_keras, functional
from tests.converters.layer_cases.case import IMAGE

SEQUENCE = (13, 6)

NODES: dict[str, tuple[list[Any], tuple[int, ...], list[str]]] = {
    "a separable convolution": ([kl.SeparableConv2D(4, 3)], IMAGE, ["Conv", "Conv"]),
    "a causal convolution": ([kl.Conv1D(4, 3, padding="causal")], SEQUENCE, ["Conv"]),
    "channels that stand first in Keras": (
        [
            kl.Conv2D(4, 3, data_format="channels_first"),
            kl.BatchNormalization(axis=1),
            kl.MaxPooling2D(data_format="channels_first"),
        ],
        (3, 8, 11),
        ["Conv", "BatchNormalization", "MaxPool"],
    ),
    "layer normalization of channels": (
        [kl.LayerNormalization()],
        IMAGE,
        ["Transpose", "LayerNormalization", "Transpose"],
    ),
    "layer normalization twice": (
        [kl.LayerNormalization(), kl.LayerNormalization()],
        IMAGE,
        ["Transpose", "LayerNormalization", "LayerNormalization", "Transpose"],
    ),
    "layer normalization of features": ([kl.LayerNormalization()], (5,), ["LayerNormalization"]),
    "layer normalization of the sample": ([kl.LayerNormalization([1, 2, 3])], IMAGE, ["LayerNormalization"]),
    "as many groups as channels": ([kl.GroupNormalization(-1)], IMAGE, ["InstanceNormalization"]),
    "squeeze and excite": (
        [kl.GlobalAveragePooling2D(), kl.Reshape((1, 1, 3)), kl.Conv2D(4, 1, activation="relu")],
        IMAGE,
        ["GlobalAveragePool", "Conv", "Relu"],
    ),
    "a vector that is flattened": ([kl.Dense(4), kl.Flatten()], (5,), ["Gemm"]),
    "a matrix and back, then a convolution": (
        [kl.Reshape((88, 3)), kl.Reshape((8, 11, 3)), kl.Conv2D(4, 3)],
        IMAGE,
        ["Conv"],
    ),
    "flattened twice": ([kl.Reshape((88, 3)), kl.Flatten()], IMAGE, ["Transpose", "Flatten"]),
    "a linear activation at the end": ([kl.Conv2D(4, 3), kl.Activation("linear")], IMAGE, ["Conv"]),
    "statistics of the data, given by weights": ([kl.Normalization()], IMAGE, ["BatchNormalization"]),
    "statistics of the data, given by the file": (
        [kl.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])],
        IMAGE,
        ["Sub", "Div"],
    ),
    "a matrix that becomes an image again": (
        [kl.Reshape((88, 3)), kl.Dense(4)],
        IMAGE,
        ["Transpose", "Reshape", "Transpose", "MatMul", "Add"],
    ),
    "a permutation and its inverse": (
        [kl.Permute((2, 1, 3)), kl.Permute((2, 1, 3)), kl.Conv2D(4, 3)],
        IMAGE,
        ["Conv"],
    ),
    "dropout of channels": ([kl.SpatialDropout2D(0.5)], IMAGE, ["Dropout"]),
    "recurrent layers, one after the other": (
        [kl.LSTM(5, return_sequences=True), kl.GRU(4, use_bias=False)],
        SEQUENCE,
        ["Transpose", "Concat", "LSTM", "Squeeze", "GRU", "Squeeze"],
    ),
    "a recurrent layer both ways": (
        [kl.Bidirectional(kl.GRU(4))],
        SEQUENCE,
        ["Transpose", "GRU", "Squeeze", "GRU", "Squeeze", "Concat"],
    ),
    "images in a sequence": (
        [kl.TimeDistributed(kl.Conv2D(4, 3)), kl.TimeDistributed(kl.MaxPooling2D())],
        (5, *IMAGE),
        ["Transpose", "Reshape", "Conv", "MaxPool", "Reshape", "Transpose"],
    ),
    "an activation of each step": ([kl.TimeDistributed(kl.ReLU())], SEQUENCE, ["Relu"]),
    "a product with a matrix": (
        [kl.EinsumDense("abc,cd->abd", (None, 8))],
        SEQUENCE,
        ["Transpose", "MatMul"],
    ),
    "layers that pass on their input": (
        [kl.Identity(), kl.GaussianNoise(0.1), kl.Activation("linear"), kl.ReLU()],
        IMAGE,
        ["Relu"],
    ),
}


@pytest.mark.parametrize(("layers", "shape", "op_types"), NODES.values(), ids=NODES)
def test_a_layer_becomes_the_nodes_that_a_person_would_draw(
    layers: list[Any], shape: tuple[int, ...], op_types: list[str], tmp_path: Path
) -> None:
    model = convert_keras(functional(layers, shape), tmp_path)
    assert [node.op_type for node in model.graph] == op_types


def test_layers_that_want_the_same_order_share_its_transpose(tmp_path: Path) -> None:
    inputs = keras.Input(IMAGE)
    rows = [kl.Reshape(shape)(inputs) for shape in ((88, 3), (11, 24), (44, 6))]
    model = convert_keras(keras.Model(inputs, rows), tmp_path)
    assert [node.op_type for node in model.graph] == ["Transpose", "Reshape", "Reshape", "Reshape"]


def test_an_output_that_two_layers_name_has_both_names(tmp_path: Path) -> None:
    inputs = keras.Input(IMAGE, name="x")
    convolved = kl.Conv2D(4, 3, name="conv")(inputs)
    outputs = [kl.Activation("linear", name="end")(convolved), convolved, kl.Identity(name="same")(inputs)]
    model = convert_keras(keras.Model(inputs, outputs), tmp_path)
    assert [(node.op_type, node.outputs[0].name) for node in model.graph] == [
        ("Conv", "end"),
        ("Identity", "conv"),
        ("Identity", "same"),
    ]
    assert [value.name for value in model.graph.outputs] == ["end", "conv", "same"]
