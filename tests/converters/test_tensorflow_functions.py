"""TensorFlow functions in networks of Keras 2, against what TensorFlow computed: recorded in `data/tensorflow`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
from converters.layers.layer_builder import IoLayout
from converters.layers.operations import OPERATIONS, TF_PREFIX
from converters.layers.opsets import MAX_OPSET, MIN_OPSET
from tests.converters.keras_oracle import run_onnx

FOLDER = Path(__file__).parent / "data" / "tensorflow"

RECORDED = json.loads((FOLDER / "functions.json").read_text())
FUNCTIONS: dict[str, Any] = RECORDED["functions"]
NUMBERS = {expression: number for number, expression in enumerate(FUNCTIONS)}

RELATIVE_TOLERANCE = 1e-5
"""Of the largest output."""


@cache
def arrays() -> Any:
    return np.load(FOLDER / "functions.npz")


def write_network(expression: str, path: Path, renamed: dict[str, str] | None = None) -> None:
    """The network of an expression, as Keras 2 writes it, some functions under another name."""
    shape = [None, *RECORDED["shape"]]
    inputs = [
        {
            "class_name": "InputLayer",
            "config": {"name": name, "batch_input_shape": shape},
            "name": name,
            "inbound_nodes": [],
        }
        for name in "xy"
    ]
    network = FUNCTIONS[expression]
    layers = json.loads(json.dumps(network["layers"]))
    for layer in layers:
        function = layer["config"]["function"]
        layer["config"] |= {"function": (renamed or {}).get(function, function), "trainable": True, "dtype": "float32"}
    # Both inputs are outputs too, so that none is left out of the graph.
    outputs = [*network["outputs"], ["x", 0, 0], ["y", 0, 0]]
    config = {
        "name": "net",
        "layers": [*inputs, *layers],
        "input_layers": [["x", 0, 0], ["y", 0, 0]],
        "output_layers": outputs,
    }
    path.write_text(json.dumps({"class_name": "Functional", "keras_version": "2.15.0", "config": config}))


def assert_equals_tensorflow(expression: str, path: Path, renamed: dict[str, str] | None = None) -> None:
    write_network(expression, path, renamed)
    number = NUMBERS[expression]
    wanted = [arrays()[f"{number}.{place}"] for place in range(len(FUNCTIONS[expression]["outputs"]))]
    model = converters.convert(path, io_layout=IoLayout.CHANNELS_LAST)
    outputs = run_onnx(model, arrays()["x"], arrays()["y"], raw_inputs=True, raw_outputs=True)
    for output, want in zip(outputs, wanted, strict=False):
        assert output.shape == want.shape
        assert output.dtype.kind == want.dtype.kind
        scale = np.abs(want).max()
        np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * scale)


@pytest.mark.parametrize("expression", FUNCTIONS)
def test_a_function_equals_tensorflow(expression: str, tmp_path: Path) -> None:
    assert_equals_tensorflow(expression, tmp_path / "net.json")


@pytest.mark.parametrize("opset", [MIN_OPSET, 18, MAX_OPSET])
def test_every_function_is_written_in_other_opsets(opset: int, tmp_path: Path) -> None:
    for expression in FUNCTIONS:
        write_network(expression, tmp_path / "net.json")
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
    assert_equals_tensorflow(expression, tmp_path / "net.json", {own: name.removeprefix(TF_PREFIX)})


def functions_of(expression: str) -> set[str]:
    return {layer["config"]["function"] for layer in FUNCTIONS[expression]["layers"]}


def test_every_function_has_a_case() -> None:
    recorded = {f"{TF_PREFIX}{function}" for expression in FUNCTIONS for function in functions_of(expression)}
    assert {name for name in OPERATIONS if name.startswith(TF_PREFIX)} == recorded | set(OTHER_NAMES)
