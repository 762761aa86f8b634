"""Models that serve as layers: what stands in the flat network, and that it computes what Keras computes."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

import converters
from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from tests.converters.keras_oracle import assert_equals_keras

SHAPE = (8, 11, 3)


def encoder(name: str = "encoder") -> keras.Model:
    x = inputs = keras.Input(SHAPE, name="ii")
    return keras.Model(inputs, kl.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x), name=name)


def one_model() -> keras.Model:
    inputs = keras.Input(SHAPE, name="x")
    return keras.Model(inputs, kl.ReLU(name="end")(encoder()(inputs)))


def shared_model() -> keras.Model:
    """Called on the input, on its own output, and on a sum; the second and the third are outputs."""
    inputs = keras.Input(SHAPE, name="x")
    shared = encoder()
    twice = shared(shared(inputs))
    return keras.Model(inputs, [shared(kl.Add(name="sum")([inputs, twice])), twice])


def sequentials() -> keras.Model:
    """Two Sequentials, each called twice; one says what goes in."""
    x = inputs = keras.Input(SHAPE, name="x")
    for model in (
        keras.Sequential([kl.Conv2D(3, 1, name="c"), kl.ReLU(name="r")], name="open"),
        keras.Sequential([keras.Input(SHAPE), kl.Conv2D(3, 1, name="c"), kl.ReLU(name="r")], name="told"),
    ):
        x = model(model(x))
    return keras.Model(inputs, x)


def models_in_models() -> keras.Model:
    """Two levels, each calling the next twice: four convolutions with one kernel."""
    x = keras.Input(SHAPE, name="m")
    inner = encoder()
    middle = keras.Model(x, inner(inner(x)), name="middle")
    inputs = keras.Input(SHAPE, name="x")
    return keras.Model(inputs, middle(kl.ReLU(name="between")(middle(inputs))))


def several_ends() -> keras.Model:
    """A model of two inputs and two outputs, one of which is an input as it stands; the two are crossed."""
    a, b = keras.Input(SHAPE, name="a"), keras.Input(SHAPE, name="b")
    pair = keras.Model([a, b], [kl.Add(name="plus")([a, b]), a], name="pair")
    left, right = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right")
    first, second = pair([left, kl.ReLU(name="relu")(right)])
    return keras.Model([left, right], pair([second, first]))


def model_first() -> keras.Model:
    return keras.Sequential([encoder(), kl.Flatten(name="flat"), kl.Dense(3, name="head")])


MODELS = {
    "one": (one_model, ["encoder.conv"]),
    "shared": (shared_model, ["encoder.conv"]),
    "Sequentials": (sequentials, ["open.c", "told.c"]),
    "models in models": (models_in_models, ["middle.encoder.conv"]),
    "several inputs and outputs": (several_ends, []),
    "first in a Sequential": (model_first, ["encoder.conv", "head"]),
}


@pytest.mark.parametrize(("model", "layers"), MODELS.values(), ids=MODELS)
def test_a_model_within_a_model_equals_keras(model: Any, layers: list[str], tmp_path: Path) -> None:
    graph = assert_equals_keras(model(), tmp_path).graph
    names = [name for name in graph.initializers if name.endswith((".weight", ".bias"))]
    assert names == [f"{layer}.{parameter}" for layer in layers for parameter in ("weight", "bias")]


def test_a_frozen_model_freezes_what_it_holds() -> None:
    model = one_model()
    description = json.loads(model.to_json())
    (inner,) = (layer for layer in description["config"]["layers"] if layer["class_name"] == "Functional")
    inner["config"]["trainable"] = False
    assert {layer.name: layer.trainable for layer in read(description).layers} == {
        "x": True,
        "encoder.conv": False,
        "end": True,
    }


def read(description: Any) -> Any:
    return network_from_json(parse_json(json.dumps(description), "net.json"), "net.json")


INNER = {
    "layers": [
        {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 4]}, "inbound_nodes": []},
        {"class_name": "ReLU", "config": {"name": "r"}, "inbound_nodes": [[["i", 0, 0]]]},
    ],
    "input_layers": [["i", 0, 0]],
    "output_layers": [["r", 0, 0]],
}


def outer(nodes: Any, outputs: Any, class_name: str = "Functional", inner: Any = INNER) -> dict[str, Any]:
    return {
        "class_name": "Functional",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4]}, "inbound_nodes": []},
                {"class_name": class_name, "name": "m", "config": inner, "inbound_nodes": nodes},
            ],
            "output_layers": outputs,
        },
    }


X = [["x", 0, 0]]
CALL_NUMBERS = {
    "Keras 2, where making the model is call 0": ([X, [["m", 1, 0]]], [["m", 2, 0]]),
    "counted from 0": ([X, [["m", 0, 0]]], [["m", 1, 0]]),
    "by name": ([X, ["m"]], [["m", 1, 0]]),
}


@pytest.mark.parametrize(("nodes", "outputs"), CALL_NUMBERS.values(), ids=CALL_NUMBERS)
@pytest.mark.parametrize("class_name", ["Functional", "Model", "Sequential"])
def test_calls_of_a_model_are_counted_as_the_file_counts_them(nodes: Any, outputs: Any, class_name: str) -> None:
    network = read(outer(nodes, outputs, class_name))
    assert [[(ref.layer, ref.call) for ref in call.inputs] for call in network.layers[1].calls] == [
        [("x", 0)],
        [("m.r", 0)],
    ]
    assert [(ref.layer, ref.call) for ref in network.outputs] == [("m.r", 1)]


PASSES = {**INNER, "output_layers": [["i", 0, 0]]}


def declaring(shape: Any) -> dict[str, Any]:
    """The inner model, its input of another shape."""
    first, *others = INNER["layers"]
    return {**INNER, "layers": [{**first, "config": {"name": "i", "batch_shape": shape}}, *others]}


BROKEN: dict[str, tuple[Any, str, str]] = {
    "two tensors for one input": (
        outer([[["x", 0, 0], ["x", 0, 0]]], [["m", 1, 0]]),
        '{"class_name": "Functional", "name"',
        "layer 'm' (Functional): is called with 2 tensors, and has 1 inputs\n  Change its \"inbound_nodes\".",
    ),
    "a call that is not there": (
        outer([X], [["m", 3, 0]]),
        '["m", 3',
        "asks for call 3 of model 'm', which has 1 (the first is 1)\n  Write the number of a call that the model has.",
    ),
    "an output that is not there": (
        outer([X], [["m", 1, 2]]),
        '["m", 1, 2',
        "asks for output 2 of model 'm', which has 1 (the first is 0)\n"
        "  Write the number of an output that the model has.",
    ),
    "a model that waits for itself": (
        outer([[["m", 1, 0]]], [["m", 1, 0]], inner=PASSES),
        '{"class_name": "Functional", "name"',
        "model 'm' waits for itself\n  Break the circle: change its \"inbound_nodes\".",
    ),
    "an inner layer that is not there": (
        outer([X], [["m", 1, 0]], inner={**INNER, "output_layers": [["x", 0, 0]]}),
        '["x", 0, 0]]}, "inbound_nodes"',
        "the network's inputs and outputs name 'x', and there is no such layer\n"
        "  Write the name of a layer of this network.",
    ),
    "an inner shape that is a text": (
        outer([X], [["m", 1, 0]], inner=declaring("x")),
        '"x"}',
        """layer 'm.i' (InputLayer): "batch_shape" is "x", which is not allowed here
  Write a list of sizes: integers from 1 on, null for an unknown one.""",
    ),
    "an inner shape that is a number": (
        outer([X], [["m", 1, 0]], inner=declaring(-1)),
        "-1}",
        """layer 'm.i' (InputLayer): "batch_shape" is -1, which is not allowed here
  Write a list of sizes: integers from 1 on, null for an unknown one.""",
    ),
    "an inner model without layers": (
        outer([X], [["m", 1, 0]], inner={"layers": []}),
        '[]}, "inbound_nodes": [[["x"',
        "a network without a list of layers\n"
        '  Give a Keras model as JSON (model.to_json()), a list of layers, or an object with "layers".',
    ),
}


@pytest.mark.parametrize(("value", "at", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_model_within_is_refused(value: Any, at: str, message: str) -> None:
    with pytest.raises(ConversionError) as error:
        read(value)
    assert str(error.value) == f"net.json:1:{json.dumps(value).index(at) + 1}: {message}"


def test_models_that_double_each_other_s_calls_are_refused() -> None:
    inner: Any = INNER
    for _level in range(20):
        inner = {**outer([X, [["m", 1, 0]]], [["m", 2, 0]], inner=inner)["config"], "input_layers": X}
    with pytest.raises(ConversionError) as error:
        read({"class_name": "Functional", "config": inner})
    assert str(error.value).endswith(
        ": holds 131,075 calls of layers once the models within it are written out, of at most 100,000\n"
        "  Call the models within it less often."
    )


def test_a_layer_and_a_model_s_layer_of_one_name_are_refused() -> None:
    value = outer([X], [["m", 1, 0]])
    value["config"]["layers"].append(
        {"class_name": "ReLU", "config": {"name": "m.r"}, "inbound_nodes": [[["m", 1, 0]]]}
    )
    with pytest.raises(ConversionError, match=r"2 layers have the name 'm\.r'"):
        read(value)


def test_the_first_values_of_a_model_s_layers_are_seeded(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(one_model().to_json())
    first, second = (converters.convert(path).graph.initializers["encoder.conv.weight"] for _ in range(2))
    np.testing.assert_array_equal(first.const_value.numpy(), second.const_value.numpy())
