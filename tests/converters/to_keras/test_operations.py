"""Operations given back: those of Keras 3 as they were, those of TensorFlow as what Keras 3 has for them."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

import converters
from converters.errors import ConversionError
from converters.layers.operations.registry import SIGNATURES
from converters.to_keras.operations import FORMS, RENAMED
from tests.converters.keras_oracle import BATCH, convert_keras, random_inputs, randomize
from tests.converters.keras_round_trip import assert_predicts_the_same, given_back, layer_config, predictions
from tests.converters.operation_cases import CASES
from tests.converters.operation_cases.case import SHAPE, Compute
from tests.converters.recorded_networks import Recording
from tests.converters.test_operations import COMPUTED_AT_ONCE, joined
from tests.converters.test_tensorflow_functions import FUNCTIONS, RECORDING

NOT_LOADED_BY_KERAS = {
    "keras.ops.AdaptiveAveragePool": "Keras gets the list that its own JSON holds, and wants a tuple",
    "keras.ops.AdaptiveMaxPool": "Keras gets the list that its own JSON holds, and wants a tuple",
    "keras.ops.ExtractPatches": "Keras writes no name into its config, and gives it another one",
}
"""Operation -> why Keras 3.15 does not get from its own JSON what it wrote."""

FIRST_CASES = {
    name: next(iter(cases.items()))
    for name, cases in CASES.items()
    if name not in COMPUTED_AT_ONCE and name not in NOT_LOADED_BY_KERAS
}
"""Operation -> the fact under test and case: what is given back holds its config and call as they were."""


@pytest.mark.parametrize("name", FIRST_CASES)
def test_an_operation_that_was_given_back_predicts_the_same(name: str, tmp_path: Path) -> None:
    fact, compute = FIRST_CASES[name]
    batch = BATCH if fact == "a known batch" else None
    x, y = (keras.Input(SHAPE, batch_size=batch, name=name) for name in "xy")
    model = keras.Model([x, y], [joined(compute(x, y)), kl.ReLU()(y)])
    randomize(model)
    inputs = random_inputs([SHAPE, SHAPE])
    back = given_back(convert_keras(model, tmp_path), tmp_path)
    assert_predicts_the_same(back, predictions(model, inputs), inputs)


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


NODES = Recording("graph")
NODES_OF_EACH_KIND = (
    *("x * 2.0 + 1.0", "1.0 - x * y", "x + array(3)", "tf.where(x > 0, x, y)", "tf.cast(3 * x, tf.int32)"),
    *(
        "tf.nn.leaky_relu(x, 0.25)",
        "tf.nn.softmax(x)",
        "tf.reduce_mean(x, [1, 2])",
        "tf.reduce_mean(x, -1, keepdims=True)",
    ),
    *("tf.cumsum(x, 1)", "tf.cumsum(x, 1, exclusive=True, reverse=True)", "tf.reshape(x, [-1, 24, 3])"),
    *("tf.concat([x, y, x], -1)", "tf.stack([x, y], 1)", "tf.unstack(x, axis=1)", "tf.split(x, 2, 1)"),
    *("tf.split(x, [1, 2], -1)", "tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]])", "tf.matmul(x, y, transpose_b=True)"),
    *("raw.BatchMatMul(x=x, y=y, adj_x=True)", 'tf.einsum("bhwc,bxyc->bhx", x, y)', "x[:, 1:, ::2]"),
)

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


def converted(layers: list[dict[str, Any]], folder: Path) -> Any:
    description = {"class_name": "Functional", "keras_version": "2.15.0", "config": {"layers": layers}}
    (folder / "net.json").write_text(json.dumps(description))
    return converters.convert(folder / "net.json")


@pytest.mark.parametrize(("layers", "compute"), KERAS_2_CASES.values(), ids=KERAS_2_CASES)
def test_a_function_of_tensorflow_becomes_an_operation(
    layers: list[dict[str, Any]], compute: Compute, tmp_path: Path
) -> None:
    inputs = random_inputs([SHAPE, SHAPE])
    x, y = inputs
    want = compute(x, y) + (y if len(layers) == 4 else 0)
    assert_predicts_the_same(given_back(converted(layers, tmp_path), tmp_path), [want.astype(np.float32)], inputs)


def test_a_function_becomes_the_operation_that_keras_writes(tmp_path: Path) -> None:
    layers = written_by_keras_2("math.reduce_mean", ["x", 0, 0, {"axis": [1, 2], "keepdims": True, "name": None}])
    x = keras.Input(SHAPE, name="x")
    of_keras = keras.Model(x, keras.ops.mean(x, axis=[1, 2], keepdims=True)).to_json()
    back = converters.to_keras_json(converted(layers, tmp_path))
    (written,) = (layer["name"] for layer in json.loads(of_keras)["config"]["layers"] if layer["class_name"] == "Mean")
    assert layer_config(back, "tf_math_reduce_mean") == layer_config(of_keras, written)


@pytest.mark.parametrize("name", FORMS)
def test_keras_has_each_operation_in_this_form(name: str) -> None:
    form = FORMS[name]
    operation = getattr(importlib.import_module(form.module), name)
    assert tuple(inspect.signature(operation.call).parameters)[1:] == form.call
    assert set(form.options) | {"name"} <= set(inspect.signature(operation.__init__).parameters)


WITHOUT_AN_OPTION = {
    "tf.nn.silu(x, beta=0.5)",
    "tf.sort(x, direction='DESCENDING')",
    "tf.image.resize(x, (9, 7), method='bicubic')",
    "tf.image.resize(x, (4, 3), method='bicubic')",
    "tf.image.resize(x, (4, 9), method='bicubic', antialias=True)",
    "tf.math.cumsum(x, axis=1, exclusive=True, reverse=True)",
    "tf.cumsum(x, 1, exclusive=True, reverse=True)",
    "tf.math.cumprod(x, axis=2, exclusive=True, reverse=True)",
}
"""Expressions whose functions Keras has as operations, but not so."""

WRONG_ON_TORCH = {
    "tf.math.count_nonzero(tf.nn.relu(x), axis=1)": "the axes of the result are in another order",
    "tf.repeat(x, [1, 0, 2], axis=-1)": "a list of repeats is refused",
    "tf.pad(x, [[0, 0], [3, 2], [0, 4], [0, 0]], 'SYMMETRIC')": "the edge is not repeated",
    "tf.reduce_mean(tf.cast(10 * x, tf.int32), [1, 2])": "the mean of integers is a float, in every backend",
    "x[:, ::-1]": "torch has no negative steps",
    "x[:, 4:1:-2]": "torch has no negative steps",
}
"""What Keras 3.15 does with these operations on torch; on TensorFlow they give what was recorded."""


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_functions_given_back_compute_what_tensorflow_did(expression: str, tmp_path: Path) -> None:
    functions = {f"tf.{layer['config']['function']}" for layer in FUNCTIONS[expression]["layers"]}
    assert_given_back(RECORDING, expression, functions, tmp_path)


@pytest.mark.parametrize("expression", NODES_OF_EACH_KIND)
def test_nodes_given_back_compute_what_tensorflow_did(expression: str, tmp_path: Path) -> None:
    nodes = {f"tf.raw_ops.{layer['config']['node_def']['op']}" for layer in NODES.networks[expression]["layers"]}
    assert_given_back(NODES, expression, nodes, tmp_path)


def assert_given_back(recording: Recording, expression: str, names: set[str], tmp_path: Path) -> None:
    """Nothing, if what was recorded is refused, or comes back as a network that computes it."""
    recording.write(expression, tmp_path / "net.json")
    model = converters.convert(tmp_path / "net.json")
    own_names = {SIGNATURES[name].name for name in names}
    known = all(RENAMED.get(name, name).removeprefix("keras.ops.") in FORMS for name in own_names)
    if not known or expression in WITHOUT_AN_OPTION:
        with pytest.raises(ConversionError, match="cannot be given back: "):
            converters.to_keras_json(model)
        return
    back = given_back(model, tmp_path)
    if expression not in WRONG_ON_TORCH:
        outputs = predictions(back, [recording.arrays["x"], recording.arrays["y"]])
        for number in range(len(recording.networks[expression]["outputs"])):
            output, want = outputs[number], recording.arrays[f"{recording.numbers[expression]}.{number}"]
            assert output.shape == want.shape
            np.testing.assert_allclose(output * 1.0, want * 1.0, rtol=0, atol=1e-5 * np.abs(want * 1.0).max())


def test_a_shape_that_is_computed_is_no_option(tmp_path: Path) -> None:
    layers = written_by_keras_2("shape", ["x", 0, 0, {}])
    layers[3] = {
        "class_name": "TFOpLambda",
        "config": {"name": "tf.reshape", "function": "reshape"},
        "inbound_nodes": [["x", 0, 0, {"shape": ["tf.shape", 0, 0]}]],
    }
    with pytest.raises(ConversionError) as error:
        converters.to_keras_json(converted(layers, tmp_path))
    assert str(error.value) == (
        "model 'Unknown': 2 layers cannot be given back\n"
        "  layer 'tf.shape' (tf.shape): cannot be given back: what Keras 3 has for this function is not known\n"
        "    Write the network without it, and convert again.\n"
        "  layer 'tf.reshape' (tf.reshape): cannot be given back: "
        'its "newshape" is computed from tensors, and in Keras 3 it is an option\n'
        "    Write the network without it, and convert again.\n"
        "  Nothing was written."
    )


def two_calls() -> list[dict[str, Any]]:
    """One function, called with different options."""
    first, second = (["x", 0, 0, {"axis": axis, "keepdims": True}] for axis in ([1, 2], [1]))
    layers = written_by_keras_2("math.reduce_mean", first, second)
    layers[-1]["inbound_nodes"] = [[["tf.math.reduce_mean", call, 0, {}] for call in (0, 1)]]
    return layers


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an option that Keras lacks": (
        written_by_keras_2("sort", ["x", 0, 0, {"direction": "DESCENDING"}])[:3],
        "layer 'tf.sort' (tf.sort): cannot be given back: "
        "its \"direction\" is 'DESCENDING', for which Keras 3 has no option\n"
        "  Write the network without it, and convert again.",
    ),
    "different options": (
        two_calls(),
        "layer 'tf.math.reduce_mean' (tf.math.reduce_mean): cannot be given back: "
        "it is called with different options, which in Keras 3 belong to the operation\n"
        "  Use an operation of its own for each call, and convert again.",
    ),
}


@pytest.mark.parametrize(("layers", "message"), REFUSED.values(), ids=REFUSED)
def test_what_keras_lacks_is_refused(layers: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as error:
        converters.to_keras_json(converted(layers, tmp_path))
    assert str(error.value) == f"model 'Unknown': {message}"


def test_a_function_without_an_operation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = converted(written_by_keras_2("nn.relu", ["x", 0, 0, {}]), tmp_path)
    monkeypatch.delitem(FORMS, "Relu")
    with pytest.raises(ConversionError) as error:
        converters.to_keras_json(model)
    assert str(error.value) == (
        "model 'Unknown': layer 'tf.nn.relu' (tf.nn.relu): cannot be given back: "
        "what Keras 3 has for this function is not known\n"
        "  Write the network without it, and convert again."
    )


def test_an_operation_of_an_older_keras_3_is_given_no_name(tmp_path: Path) -> None:
    """It wrote none, as its operations took none."""
    x = keras.Input(SHAPE, name="x")

    def edit(description: dict[str, Any]) -> None:
        (layer,) = (layer for layer in description["config"]["layers"] if layer["class_name"] == "Mean")
        layer["name"] = "mean"
        del layer["config"]["name"]
        description["config"]["output_layers"] = ["mean", 0, 0]

    back = converters.to_keras_json(convert_keras(keras.Model(x, keras.ops.mean(x, axis=-1)), tmp_path, edit))
    (layer,) = (layer for layer in json.loads(back)["config"]["layers"] if layer["class_name"] == "Mean")
    assert layer["config"] == {"axis": -1, "keepdims": False}
