"""What is known and cannot be converted is refused with its reason; no operation of Keras is forgotten."""

import importlib
import inspect
from typing import Any

import pytest
from keras.src.ops.operation import Operation

from converters.errors import ConversionError
from converters.layers import LAYERS
from converters.layers.operations import KERAS_PREFIX, OPERATIONS
from converters.layers.refused import BY_NAME, find_refusal
from tests.converters.small_networks import assert_refused, build, function, network, operation

MODULES = ("core", "einops", "image", "linalg", "math", "nn", "numpy")
"""Where Keras keeps its operations."""


def operations_of_keras() -> set[str]:
    modules = [importlib.import_module(f"keras.src.ops.{name}") for name in MODULES]
    return {
        f"{KERAS_PREFIX}{name}"
        for module in modules
        for name, found in vars(module).items()
        if inspect.isclass(found) and issubclass(found, Operation) and found.__module__ == module.__name__
    }


def test_every_operation_of_keras_is_converted_or_refused_with_a_reason() -> None:
    ours = {name for name in (*OPERATIONS, *BY_NAME) if name.startswith(KERAS_PREFIX)}
    assert operations_of_keras() <= ours


def test_nothing_is_both_converted_and_refused() -> None:
    assert not [name for name in (*OPERATIONS, *LAYERS) if find_refusal(name)]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an operation with a reason": (
        operation("Nonzero"),
        "this operation cannot be converted: the size of its result depends on the numbers that it is given\n"
        "  Multiply by a mask, or choose with where.",
    ),
    "a function with a reason": (
        function("random.normal", mean=0.0),
        "this operation cannot be converted: it draws random numbers in use, too\n"
        "  Use a layer of dropout or noise, which does so in training only.",
    ),
    "an operation that is written otherwise": (
        operation("Arctg"),
        "this operation cannot be converted; the nearest that can: "
        "keras.ops.Arctan, keras.ops.Arctanh, keras.ops.Arctan2\n"
        "  Use layers and operations that can be converted; docs/layers.md lists them.",
    ),
    "a function that is nothing like any": (
        function("xxxxxxxxxxxxxxxxxxxxxxx"),
        "this operation cannot be converted\n"
        "  Use layers and operations that can be converted; docs/layers.md lists them.",
    ),
}


@pytest.mark.parametrize(("tested", "message"), REFUSED.values(), ids=REFUSED)
def test_an_operation_that_cannot_be_converted_is_refused(tested: dict[str, Any], message: str) -> None:
    assert_refused(tested, message)


LAYER_REASONS = {
    "Lambda": "this class cannot be converted: it holds Python code, which only Python can run\n"
    "  Write it with operations of keras.ops, or as layers, and save the network again.",
    "StringLookup": "this class cannot be converted: it turns texts or keys into numbers, "
    "and a converted network takes numbers\n"
    "  Compute it before the network, and begin the network behind it.",
    "KerasLayer": "this class cannot be converted: it stands for a model of TensorFlow Hub, "
    "which the file does not hold\n"
    "  Build the network with that model's layers, and save it again.",
    "Package>Lambda": "this class cannot be converted: it holds Python code, which only Python can run\n"
    "  Write it with operations of keras.ops, or as layers, and save the network again.",
    "TensorFlowOpLayer": 'this class cannot be converted: its "node_def" is no operation of TensorFlow\n'
    "  Give the file as TensorFlow wrote it.",
}


@pytest.mark.parametrize("class_name", LAYER_REASONS)
def test_a_layer_that_cannot_be_converted_is_refused(class_name: str) -> None:
    layer = {"class_name": class_name, "config": {"name": "a"}, "inbound_nodes": [[["x", 0, 0, {}]]]}
    with pytest.raises(ConversionError) as error:
        build(network(layer))
    assert str(error.value).partition("): ")[2] == LAYER_REASONS[class_name]
