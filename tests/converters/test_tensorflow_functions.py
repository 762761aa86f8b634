"""TensorFlow functions in networks of Keras 2, against what TensorFlow computed: recorded in `data/tensorflow`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import converters
from converters.layers.operations import OPERATIONS, RAW_PREFIX, TF_PREFIX
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from tests.converters.keras_oracle import random_inputs, run_onnx
from tests.converters.recorded_networks import Recording

RECORDING = Recording("functions")
FUNCTIONS = RECORDING.networks


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_a_function_equals_tensorflow(expression: str, tmp_path: Path) -> None:
    RECORDING.assert_equals_tensorflow(expression, tmp_path / "net.json")


OF_SIZES = [
    *(expression for expression in FUNCTIONS if "tf.shape(x)[" in expression),
    *(
        "tf.roll(x, 2, 1)",
        "tf.roll(x, [1, -1], [1, 3])",
        "tf.linalg.band_part(x, 1, 0)",
    ),
    *("tf.sort(x, axis=1)", "tf.argsort(x, axis=1)", "tf.linalg.trace(x)", "tf.math.cumprod(x, axis=1)"),
]


@pytest.mark.parametrize("expression", OF_SIZES)
def test_a_function_equals_tensorflow_where_sizes_are_open(expression: str, tmp_path: Path) -> None:
    RECORDING.assert_equals_tensorflow(expression, tmp_path / "net.json", open_sizes=True)


@pytest.mark.parametrize("opset", [MIN_OPSET, 18, MAX_OPSET])
def test_every_function_is_written_in_other_opsets(opset: int, tmp_path: Path) -> None:
    for expression in FUNCTIONS:
        RECORDING.write(expression, tmp_path / "net.json")
        model = converters.convert(tmp_path / "net.json", opset=opset)  # the checker of onnx accepts it, too
        assert model.graph.opset_imports == {"": opset}


OTHER_NAMES = {
    "tf.__operators__.multiply": "tf.math.multiply",
    "tf.__operators__.subtract": "tf.math.subtract",
    "tf.gather": "tf.compat.v1.gather",
    "tf.math.divide": "tf.math.truediv",
    "tf.math.floordiv": "tf.compat.v1.floor_div",
    "tf.matmul": "tf.linalg.matmul",
    "tf.nn.conv1d": "tf.compat.v1.nn.conv1d",
    "tf.nn.conv2d": "tf.compat.v1.nn.conv2d",
    "tf.nn.crelu": "tf.compat.v1.nn.crelu",
    "tf.nn.depthwise_conv2d": "tf.compat.v1.nn.depthwise_conv2d",
    "tf.nn.max_pool": "tf.compat.v1.nn.max_pool",
    "tf.nn.sigmoid": "tf.math.sigmoid",
    "tf.nn.softplus": "tf.math.softplus",
    "tf.nn.swish": "tf.nn.silu",
    "tf.nn.tanh": "tf.math.tanh",
    "tf.norm": "tf.compat.v1.norm",
    "tf.pad": "tf.compat.v1.pad",
    "tf.shape": "tf.compat.v1.shape",
    "tf.size": "tf.compat.v1.size",
    "tf.squeeze": "tf.compat.v1.squeeze",
    "tf.transpose": "tf.compat.v1.transpose",
}
"""Names that other versions of TensorFlow write -> what this one writes."""


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_another_name_of_a_function_is_the_function_itself(name: str, tmp_path: Path) -> None:
    own = OTHER_NAMES[name].removeprefix(TF_PREFIX)
    expression = next(expression for expression in FUNCTIONS if own in functions_of(expression))

    def rename(layer: dict[str, Any]) -> None:
        if layer["config"]["function"] == own:
            layer["config"]["function"] = name.removeprefix(TF_PREFIX)

    RECORDING.assert_equals_tensorflow(expression, tmp_path / "net.json", rename)


def functions_of(expression: str) -> set[str]:
    return {layer["config"]["function"] for layer in FUNCTIONS[expression]["layers"]}


def test_every_function_has_a_case() -> None:
    recorded = {f"{TF_PREFIX}{function}" for expression in FUNCTIONS for function in functions_of(expression)}
    functions = {name for name in OPERATIONS if name.startswith(TF_PREFIX) and not name.startswith(RAW_PREFIX)}
    assert functions == recorded | set(OTHER_NAMES)


def resized(layer: dict[str, Any], path: Path) -> npt.NDArray[np.float32]:
    """What a layer of Keras 2 gives of an image."""
    x = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 8, 6, 3]}, "inbound_nodes": []}
    network = {"layers": [x, layer], "output_layers": [["a", 0, 0]]}
    path.write_text(json.dumps({"class_name": "Functional", "keras_version": "2.9.0", "config": network}))
    (y,) = run_onnx(converters.convert(path), *random_inputs([(8, 6, 3)]))
    return y


def test_a_bicubic_resizing_of_keras_2_weighs_as_tensorflow_does(tmp_path: Path) -> None:
    config = {"name": "a", "height": 9, "width": 7, "interpolation": "bicubic"}
    layer = {"class_name": "Resizing", "config": config, "inbound_nodes": [[["x", 0, 0, {}]]]}
    function = {
        "class_name": "TFOpLambda",
        "config": {"name": "a", "function": "image.resize"},
        "inbound_nodes": [["x", 0, 0, {"size": [9, 7], "method": "bicubic"}]],
    }
    assert np.array_equal(resized(layer, tmp_path / "net.json"), resized(function, tmp_path / "net.json"))
