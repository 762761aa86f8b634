"""Networks of one operation, as Keras 2 and 3 write them, for the tests of what it says when it does not fit."""

import json
from typing import Any

import pytest

from converters.build import build_model
from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.keras_json import network_from_json

IMAGE = (8, 6, 3)


def tensor(name: str, number: int = 0) -> dict[str, Any]:
    """An output of a layer, as Keras 3 writes it within arguments."""
    history = {"shape": [None], "dtype": "float32", "keras_history": [name, 0, number]}
    return {"class_name": "__keras_tensor__", "config": history}


X, Y = tensor("x"), tensor("y")


def array(*values: Any) -> dict[str, Any]:
    return {"class_name": "__numpy__", "config": {"value": list(values), "dtype": "float32"}}


def operation(name: str, *arguments: Any, called: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """An operation of Keras 3 on x and y, its config and its call's keywords."""
    return {
        "module": "keras.src.ops.numpy",
        "class_name": name,
        "config": {"name": "a", **config},
        "name": "a",
        "inbound_nodes": [{"args": list(arguments or (X,)), "kwargs": called or {}}],
    }


def function(name: str, **keywords: Any) -> dict[str, Any]:
    """A TensorFlow function of x, as Keras 2 writes it."""
    return {
        "class_name": "TFOpLambda",
        "config": {"name": "a", "function": name},
        "name": "a",
        "inbound_nodes": [["x", 0, 0, keywords]],
    }


def network(tested: dict[str, Any], *before: dict[str, Any], shape: tuple[int | None, ...] = IMAGE) -> dict[str, Any]:
    inputs = [
        {"class_name": "InputLayer", "config": {"name": name, "batch_shape": [None, *shape]}, "inbound_nodes": []}
        for name in "xy"
    ]
    inputs.append({"class_name": "InputLayer", "config": {"name": "v", "batch_shape": [None, 5]}, "inbound_nodes": []})
    outputs = [["a", 0, 0], ["x", 0, 0], ["y", 0, 0], ["v", 0, 0]]
    layers = [*inputs, *before, tested]
    return {"class_name": "Functional", "config": {"layers": layers, "output_layers": outputs}}


def build(description: dict[str, Any]) -> None:
    build_model(network_from_json(parse_json(json.dumps(description), "net.json"), "net.json"))


def shape_of_x(name: str = "s") -> dict[str, Any]:
    return {
        "class_name": "TFOpLambda",
        "config": {"name": name, "function": "shape"},
        "name": name,
        "inbound_nodes": [["x", 0, 0, {}]],
    }


def assert_refused(tested: dict[str, Any], message: str) -> None:
    """The network of one operation is refused with a message, at the place of the operation."""
    description = network(tested)
    with pytest.raises(ConversionError) as error:
        build(description)
    column = json.dumps(description).index(json.dumps(tested)) + 1
    name = f"keras.ops.{tested['class_name']}"
    if "function" in tested["config"]:
        name = f"tf.{tested['config']['function']}"
    assert str(error.value) == f"net.json:1:{column}: layer 'a' ({name}): {message}"
