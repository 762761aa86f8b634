"""Operations in functional graphs, each against Keras, and in the spelling of Keras 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import converters
from converters.errors import ConversionError
from converters.layers.operations import OPERATIONS
from tests.converters.keras_oracle import assert_equals_keras, run_onnx

Compute = Callable[..., Any]

SHAPE = (8, 6, 3)

PER_CHANNEL = np.array([1.0, -2.0, 3.0], np.float32)

CASES: dict[str, dict[str, Compute]] = {
    "keras.ops.Absolute": {"plain": lambda x, y: ops.absolute(x)},
    "keras.ops.Add": {
        "a number": lambda x, y: x + 3.0,
        "a tensor": lambda x, y: x + y,
        "a number for each channel": lambda x, y: x + PER_CHANNEL,
        "a row": lambda x, y: x + np.arange(18, dtype=np.float32).reshape(6, 3),
        "a number before it": lambda x, y: 3 + x,
        "a tensor in Keras' order": lambda x, y: ops.transpose(ops.transpose(x, (0, 2, 1, 3)), (0, 2, 1, 3)) + y,
        "a vector": lambda x, y: ops.mean(x, axis=(1, 2)) + ops.max(y, axis=(1, 2)),
    },
    "keras.ops.Cast": {"plain": lambda x, y: ops.cast(kl.ReLU()(x), "float32")},
    "keras.ops.Clip": {"plain": lambda x, y: ops.clip(x, -0.5, 1)},
    "keras.ops.Concatenate": {
        "channels": lambda x, y: ops.concatenate([x, y], axis=-1),
        "rows": lambda x, y: ops.concatenate([x, y, x], axis=1),
        "two layouts": lambda x, y: ops.concatenate([x, ops.reshape(y, (-1, 8, 6, 3))], axis=2),
    },
    "keras.ops.Divide": {"plain": lambda x, y: ops.divide(x, ops.abs(y) + 1.0)},
    "keras.ops.Exp": {"plain": lambda x, y: ops.exp(x)},
    "keras.ops.ExpandDims": {
        "first": lambda x, y: ops.expand_dims(ops.mean(x, axis=1), 1),
        "last": lambda x, y: ops.expand_dims(ops.mean(x, axis=1), -1),
    },
    "keras.ops.GetItem": {
        "ranges": lambda x, y: x[:, 1:-1, ..., 0:2],
        "a step": lambda x, y: x[:, ::2, 1:],
        "a row": lambda x, y: x[:, 2],
        "the last channel": lambda x, y: x[..., -1],
        "a new axis": lambda x, y: ops.mean(x, axis=1)[:, None],
        "a new axis at the end": lambda x, y: ops.mean(x, axis=1)[..., None],
    },
    "keras.ops.HardSilu": {"plain": lambda x, y: ops.hard_silu(x)},
    "keras.ops.LeakyRelu": {
        "plain": lambda x, y: ops.leaky_relu(x),
        "slope": lambda x, y: ops.leaky_relu(x, negative_slope=0.3),
    },
    "keras.ops.Log": {"plain": lambda x, y: ops.log(ops.abs(x) + 0.1)},
    "keras.ops.LogSoftmax": {"plain": lambda x, y: ops.log_softmax(x)},
    "keras.ops.Matmul": {"plain": lambda x, y: ops.matmul(x, ops.transpose(y, (0, 1, 3, 2)))},
    "keras.ops.Max": {
        "space": lambda x, y: ops.max(x, axis=(1, 2)),
        "kept": lambda x, y: ops.max(x, axis=(1, 2), keepdims=True),
    },
    "keras.ops.Maximum": {"a number": lambda x, y: ops.maximum(x, 0.1), "a tensor": lambda x, y: ops.maximum(x, y)},
    "keras.ops.Mean": {
        "space": lambda x, y: ops.mean(x, axis=(1, 2)),
        "space, kept": lambda x, y: ops.mean(x, axis=(1, 2), keepdims=True),
        "channels": lambda x, y: ops.mean(x, axis=-1),
        "rows": lambda x, y: ops.mean(x, axis=1),
        "columns and channels": lambda x, y: ops.mean(x, axis=(2, 3)),
    },
    "keras.ops.Min": {"plain": lambda x, y: ops.min(x, axis=2)},
    "keras.ops.Minimum": {"plain": lambda x, y: ops.minimum(x, y)},
    "keras.ops.Multiply": {"a number": lambda x, y: x * 2.5, "a tensor": lambda x, y: x * y},
    "keras.ops.Negative": {"plain": lambda x, y: -x},
    "keras.ops.Power": {"plain": lambda x, y: x**2},
    "keras.ops.Relu": {"plain": lambda x, y: ops.relu(x)},
    "keras.ops.Relu6": {"plain": lambda x, y: ops.relu6(4 * x)},
    "keras.ops.Reshape": {
        "flat": lambda x, y: ops.reshape(x, (-1, 144)),
        "rows": lambda x, y: ops.reshape(x, (-1, 48, 3)),
        "an open size": lambda x, y: ops.reshape(ops.reshape(x, (-1, 144)), (-1, 4, 36)),
    },
    "keras.ops.Rsqrt": {"plain": lambda x, y: ops.rsqrt(ops.abs(x) + 0.1)},
    "keras.ops.Selu": {"plain": lambda x, y: ops.selu(x)},
    "keras.ops.Sigmoid": {"plain": lambda x, y: ops.sigmoid(x)},
    "keras.ops.Silu": {"plain": lambda x, y: ops.silu(x)},
    "keras.ops.Softmax": {
        "channels": lambda x, y: ops.softmax(x),
        "rows": lambda x, y: ops.softmax(x, axis=1),
    },
    "keras.ops.Softplus": {"plain": lambda x, y: ops.softplus(x)},
    "keras.ops.Softsign": {"plain": lambda x, y: ops.softsign(x)},
    "keras.ops.Split": {
        "equal parts": lambda x, y: ops.add(*ops.split(x, 2, axis=1)),
        "places": lambda x, y: [part * 2.0 for part in ops.split(x, [2, 5], axis=2)][1],
        "channels": lambda x, y: ops.split(x, 3, axis=-1)[2] * y,
    },
    "keras.ops.Sqrt": {"plain": lambda x, y: ops.sqrt(ops.abs(x))},
    "keras.ops.Square": {"plain": lambda x, y: ops.square(x)},
    "keras.ops.Squeeze": {
        "one axis": lambda x, y: ops.squeeze(x[:, :1], 1),
        "all": lambda x, y: ops.squeeze(ops.mean(x, axis=(1, 2), keepdims=True), (1, 2)),
    },
    "keras.ops.Subtract": {"plain": lambda x, y: x - y, "a number before it": lambda x, y: 2 - x},
    "keras.ops.Sum": {
        "plain": lambda x, y: ops.sum(x, axis=-1),
        "kept": lambda x, y: ops.sum(x, axis=1, keepdims=True),
    },
    "keras.ops.Tanh": {"plain": lambda x, y: ops.tanh(x)},
    "keras.ops.Transpose": {"plain": lambda x, y: ops.transpose(x, (0, 3, 1, 2))},
    "keras.ops.TrueDivide": {"a number before it": lambda x, y: 1.0 / (ops.abs(x) + 1.0)},
}

NOT_WRITTEN_BY_KERAS_3 = {"keras.ops.Identity", "keras.ops.Abs"}
"""Names that other versions of it write."""


def flat() -> dict[str, Compute]:
    return {f"{name}: {fact}": compute for name, cases in CASES.items() for fact, compute in cases.items()}


@pytest.mark.parametrize("name", flat())
def test_an_operation_equals_keras(name: str, tmp_path: Path) -> None:
    x, y = keras.Input(SHAPE, name="x"), keras.Input(SHAPE, name="y")
    computed = kl.Flatten()(flat()[name](x, y))
    model = keras.Model([x, y], [computed, kl.ReLU()(y)])
    written = {layer["class_name"] for layer in json.loads(model.to_json())["config"]["layers"]}
    assert name.partition(":")[0].rpartition(".")[2] in written
    assert_equals_keras(model, tmp_path)


def test_every_operation_has_a_case() -> None:
    named = {name for name in OPERATIONS if name.startswith("keras.ops.")}
    assert named == set(CASES) | NOT_WRITTEN_BY_KERAS_3


def written_by_keras_2(function: str, *arguments: Any, class_name: str = "TFOpLambda") -> list[dict[str, Any]]:
    """A network of one TensorFlow function, as Keras 2 writes it."""
    shape = [None, *SHAPE]
    return [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": shape}, "inbound_nodes": []},
        {"class_name": "InputLayer", "config": {"name": "y", "batch_input_shape": shape}, "inbound_nodes": []},
        {
            "class_name": class_name,
            "config": {"name": f"tf.{function}", "trainable": True, "dtype": "float32", "function": function},
            "name": f"tf.{function}",
            "inbound_nodes": [*arguments],
        },
        {
            "class_name": "Add",
            "config": {"name": "end"},
            "inbound_nodes": [[[f"tf.{function}", 0, 0, {}], ["y", 0, 0, {}]]],
        },
    ]


RANGES = [{"start": None, "stop": None, "step": None}, {"start": 1, "stop": 2, "step": None}]
KERAS_2_CASES: dict[str, tuple[list[dict[str, Any]], Compute]] = {
    "a number": (written_by_keras_2("math.multiply", ["x", 0, 0, {"y": 2.5, "name": None}]), lambda x, y: 2.5 * x),
    "a tensor": (written_by_keras_2("__operators__.add", ["x", 0, 0, {"y": ["y", 0, 0]}]), lambda x, y: x + y),
    "an array": (
        written_by_keras_2("math.truediv", ["x", 0, 0, {"y": [[[[1.0, 2.0, 4.0]]]], "name": None}]),
        lambda x, y: x / np.array([1.0, 2.0, 4.0]),
    ),
    "a number before it": (
        written_by_keras_2("math.subtract", ["_CONSTANT_VALUE", -1, 1.5, {"y": ["x", 0, 0], "name": None}]),
        lambda x, y: 1.5 - x,
    ),
    "a list of tensors": (
        written_by_keras_2("concat", [["x", 0, 0, {"axis": 1}], ["y", 0, 0, {"axis": 1}]])[:3],
        lambda x, y: np.concatenate([x, y], 1),
    ),
    "a slice": (
        written_by_keras_2("__operators__.getitem", ["x", 0, 0, {"slice_spec": RANGES}], class_name="SlicingOpLambda"),
        lambda x, y: x[:, 1:2],
    ),
    "an activation": (written_by_keras_2("nn.relu", ["x", 0, 0, {"name": None}]), lambda x, y: np.maximum(x, 0)),
    "a mean": (
        written_by_keras_2("math.reduce_mean", ["x", 0, 0, {"axis": [1, 2], "keepdims": True}]),
        lambda x, y: x.mean((1, 2), keepdims=True),
    ),
}


@pytest.mark.parametrize(("layers", "compute"), KERAS_2_CASES.values(), ids=KERAS_2_CASES)
def test_an_operation_of_keras_2_equals_its_definition(
    layers: list[dict[str, Any]], compute: Compute, tmp_path: Path
) -> None:
    (tmp_path / "net.json").write_text(json.dumps({"class_name": "Functional", "config": {"layers": layers}}))
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 2, *SHAPE)).astype(np.float32)
    (output,) = run_onnx(converters.convert(tmp_path / "net.json"), x, y)
    want = compute(x, y) + (y if len(layers) == 4 else 0)
    np.testing.assert_allclose(output, want, rtol=1e-5, atol=1e-6)


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an operation that we do not know": (
        written_by_keras_2("math.ceiling", ["x", 0, 0, {}]),
        "this operation cannot be converted",
    ),
    "a missing argument": (
        written_by_keras_2("math.multiply", ["x", 0, 0, {}]),
        'its argument "x2" is missing\n  Give a tensor, a finite number or an array.',
    ),
    "text for a number": (
        written_by_keras_2("math.multiply", ["x", 0, 0, {"y": "two"}]),
        'its argument "x2" is two\n  Give a tensor, a number or an array.',
    ),
    "another type": (
        written_by_keras_2("cast", ["x", 0, 0, {"dtype": "float16"}]),
        "casts to float16\n  Compute in float32.",
    ),
    "the batch": (
        written_by_keras_2("math.reduce_mean", ["x", 0, 0, {"axis": 0}]),
        '"axis" names the batch, which must stay as it is\n  Name other axes.',
    ),
    "part of the batch": (
        written_by_keras_2("__operators__.getitem", ["x", 0, 0, {"slice_spec": [0]}], class_name="SlicingOpLambda"),
        "takes part of the batch, which must stay as it is\n  Take all of the first axis.",
    ),
    "shapes that do not fit": (
        written_by_keras_2("math.multiply", ["x", 0, 0, {"y": [1.0, 2.0]}]),
        "its arguments do not fit together: (N, 8, 6, 3) and (2)\n  Make them equal, but for axes of size 1.",
    ),
}


@pytest.mark.parametrize(("layers", "message"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_does_not_fit_is_refused(layers: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"class_name": "Functional", "config": {"layers": layers}}))
    with pytest.raises(ConversionError) as error:
        converters.convert(path)
    name = layers[2]["name"]
    line, column = 1, path.read_text().index('{"class_name": "' + layers[2]["class_name"]) + 1
    assert str(error.value).startswith(f"{path}:{line}:{column}: layer '{name}' ({name}): {message}")


def test_keras_cast_to_another_type_is_refused(tmp_path: Path) -> None:
    x = keras.Input(SHAPE, name="x")
    (tmp_path / "net.json").write_text(keras.Model(x, ops.cast(x, "float16")).to_json())
    with pytest.raises(ConversionError, match="casts to float16\n  Compute in float32\\."):
        converters.convert(tmp_path / "net.json")
