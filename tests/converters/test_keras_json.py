"""Every container that a network may come in, and every way of it to be wrong. Whole messages are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

import converters
from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from converters.network import execution_order

INPUT = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4, 5, 2]}}
RELU = {"class_name": "ReLU", "config": {"name": "a"}}
FLAT = {"class_name": "Flatten", "config": {"name": "b"}}


def linked(layer: dict[str, Any], nodes: Any) -> dict[str, Any]:
    return layer | {"inbound_nodes": nodes}


def read(value: Any) -> Any:
    return network_from_json(parse_json(json.dumps(value), "net.json"), "net.json")


def calls(network: Any, layer: str) -> list[list[tuple[str, int, int]]]:
    (found,) = [candidate for candidate in network.layers if candidate.name == layer]
    return [[(ref.layer, ref.call, ref.tensor) for ref in call.inputs] for call in found.calls]


def keras_tensor(*history: Any) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": list(history)}}


CHAIN = [INPUT, RELU, FLAT]
CONTAINERS = {
    "a bare list": CHAIN,
    "a run configuration": {"neural_network": {"layers": CHAIN}, "data": {}},
    "a run configuration with a model": {"neural_network": {"layers": {"class_name": "Sequential", "config": CHAIN}}},
    "a Sequential": {"class_name": "Sequential", "config": {"name": "net", "layers": CHAIN}},
    "a Sequential whose config is the list, as in Keras 1": {"class_name": "Sequential", "config": CHAIN},
    "a Sequential with empty inbound_nodes": {
        "class_name": "Sequential",
        "config": {"layers": [linked(layer, []) for layer in CHAIN]},
    },
    "a model of TensorFlow.js": {
        "format": "layers-model",
        "modelTopology": {
            "keras_version": "2.15.0",
            "model_config": {"class_name": "Sequential", "config": {"layers": CHAIN}},
        },
        "weightsManifest": [],
    },
    "what describes an HDF5 file": {"model_config": {"class_name": "Sequential", "config": CHAIN}},
    "a config without its wrapping": {"name": "net", "layers": CHAIN},
    "a Functional of Keras 2": {
        "class_name": "Functional",
        "config": {
            "layers": [linked(INPUT, []), linked(RELU, [[["x", 0, 0, {}]]]), linked(FLAT, [[["a", 0, 0, {}]]])],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["b", 0, 0]],
        },
    },
    "a Model, as Functional was called once": {
        "class_name": "Model",
        "config": {"layers": [linked(INPUT, []), linked(RELU, [[["x", 0, 0]]]), linked(FLAT, [[["a", 0, 0]]])]},
    },
    "a Functional of Keras 3": {
        "module": "keras",
        "class_name": "Functional",
        "config": {
            "layers": [
                linked(INPUT, []),
                linked(RELU, [{"args": [keras_tensor("x", 0, 0)], "kwargs": {"mask": None}}]),
                linked(FLAT, [{"args": [keras_tensor("a", 0, 0)], "kwargs": {}}]),
            ],
            "input_layers": ["x", 0, 0],
            "output_layers": {"out": ["b", 0, 0]},
        },
    },
    "inputs by name": [linked(INPUT, []), linked(RELU, "x"), linked(FLAT, ["a"])],
    "an input that the first layer implies": {
        "class_name": "Sequential",
        "config": [
            {"class_name": "ReLU", "config": {"name": "a", "batch_input_shape": [None, 4, 5, 2]}},
            FLAT,
        ],
    },
    "an input that the model implies": {
        "class_name": "Sequential",
        "config": {"build_input_shape": [None, 4, 5, 2], "layers": [RELU, FLAT]},
    },
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_same_network(container: Any, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(json.dumps(container))
    graph = converters.convert(tmp_path / "net.json").graph
    assert [node.op_type for node in graph] == ["Relu", "Transpose", "Flatten"]
    assert str(graph.inputs[0].shape) == "[N,2,4,5]"
    assert graph.inputs[0].name in ("x", "a_input")
    assert (graph.outputs[0].name, str(graph.outputs[0].shape)) == ("b", "[N,40]")


X, Y = ("x", 0, 0), ("y", 0, 0)
SECOND = {"class_name": "InputLayer", "config": {"name": "y", "batch_shape": [None, 4, 5, 2]}, "inbound_nodes": []}
ADD = {"class_name": "Add", "config": {"name": "sum"}}
INBOUND_NODES = {
    "Keras 2, two tensors": ([[["x", 0, 0, {}], ["y", 0, 0, {}]]], [[X, Y]]),
    "Keras 2, two calls": ([[["x", 0, 0, {}]], [["y", 0, 0, {}]]], [[X], [Y]]),
    "Keras 2, a tensor among the arguments": ([["x", 0, 0, {"y": ["y", 0, 0], "z": 3}]], [[X, Y]]),
    "Keras 3, a list of tensors": ([{"args": [[keras_tensor(*X), keras_tensor(*Y)]], "kwargs": {}}], [[X, Y]]),
    "Keras 3, two calls": ([{"args": [keras_tensor(*X)]}, {"args": [keras_tensor(*Y)]}], [[X], [Y]]),
    "Keras 3, a tensor among the named arguments": (
        [{"args": [keras_tensor(*X)], "kwargs": {"other": keras_tensor(*Y)}}],
        [[X, Y]],
    ),
    "names": (["x", "y"], [[X, Y]]),
    "names in lists": ([["x"], ["y"]], [[X, Y]]),
    "references without their call's brackets": ([["x", 0, 0], ["y", 0, 0]], [[X, Y]]),
}


@pytest.mark.parametrize(("nodes", "expected"), INBOUND_NODES.values(), ids=INBOUND_NODES)
def test_every_form_of_inbound_nodes_is_read(nodes: Any, expected: Any) -> None:
    assert calls(read([linked(INPUT, []), SECOND, linked(ADD, nodes)]), "sum") == expected


def test_a_layer_without_a_name_gets_one() -> None:
    assert [layer.name for layer in read([INPUT, {"class_name": "ReLU", "config": {}}]).layers] == ["x", "relu_1"]


def test_a_frozen_container_freezes_its_layers() -> None:
    network = read({"class_name": "Functional", "config": {"trainable": False, "layers": CHAIN}})
    assert not any(layer.trainable for layer in network.layers)


def test_a_frozen_layer_is_alone() -> None:
    frozen = {"class_name": "ReLU", "config": {"name": "a", "trainable": False}}
    assert [layer.trainable for layer in read([INPUT, frozen, FLAT]).layers] == [True, False, True]


def test_layers_that_no_output_needs_are_left_out() -> None:
    unused = linked({"class_name": "Foo", "config": {"name": "unused"}}, [[["y", 0, 0]]])
    layers = [linked(INPUT, []), SECOND, unused, linked(RELU, [[["x", 0, 0]]])]
    network = read(layers)
    assert [layer.name for layer in network.layers] == ["x", "a"]
    assert [ref.layer for ref in network.inputs] == ["x"]
    where = place(layers, json.dumps(SECOND))
    assert network.left_out == f"{where}: no output depends on 'y', 'unused'; left out of the graph"


def test_a_shared_layer_is_reached_by_those_calls_that_an_output_needs() -> None:
    shared = linked(RELU, [[["x", 0, 0]], [["y", 0, 0]]])
    value = functional(SECOND, shared, output_layers=[["a", 0, 0]])
    network = read(value)
    assert [ref.layer for ref in network.inputs] == ["x"]
    assert network.left_out == f"{place(value, json.dumps(SECOND))}: no output depends on 'y'; left out of the graph"
    assert [step.layer.name for step in execution_order(network)] == ["x", "a"]


A_NETWORK = 'Give a Keras model as JSON (model.to_json()), a list of layers, or an object with "layers".'
CALL_FORMS = (
    'Write [[["layer", 0, 0, {}]]] (Keras 2), [{"args": ..., "kwargs": ...}] (Keras 3), or a list of layer names.'
)
A_REF = 'Write a layer\'s name, or ["name", call, output].'


def functional(*layers: Any, **keys: Any) -> dict[str, Any]:
    return {"class_name": "Functional", "config": {"layers": [linked(INPUT, []), *layers], **keys}}


BROKEN: dict[str, tuple[Any, str | None, str]] = {
    "a number": (3, None, f"holds no network\n  {A_NETWORK}"),
    "no layers": ({"name": "net"}, '{"name"', f"a network without a list of layers\n  {A_NETWORK}"),
    "an empty list": ([], None, f"a network without a list of layers\n  {A_NETWORK}"),
    "a graph of TensorFlow.js": (
        {"format": "graph-model", "modelTopology": {"node": [], "library": {}}},
        '{"node"',
        "holds a graph of TensorFlow, which is no network of layers\n"
        "  Give the network that it was made of, or a model of TensorFlow.js in its format layers-model.",
    ),
    "a wrapping of nothing": ({"model_config": None}, None, f"holds no network\n  {A_NETWORK}"),
    "a file name for layers": (
        {"neural_network": {"layers": "net.json"}},
        None,
        f"holds no network\n  {A_NETWORK}",
    ),
    "a layer that is text": (
        ["relu"],
        '"relu"',
        'a layer that is no object\n  Write {"class_name": ..., "config": {...}}.',
    ),
    "a subclassed model": (
        {"class_name": "MyModel", "config": {}},
        '"MyModel"',
        "holds a 'MyModel', which is not a network of layers\n"
        "  Give a Functional or Sequential model; subclassed models do not say what they compute.",
    ),
    "a model without config": (
        {"class_name": "Functional"},
        '{"class_name"',
        f'a model without "config"\n  {A_NETWORK}',
    ),
    "a layer whose class is a number": (
        [{"class_name": 5, "config": {}}],
        '5, "config"',
        'a layer whose "class_name" is 5\n  Write it in quotes: "Dense".',
    ),
    "a layer without class": ([{"config": {}}], '{"config"', 'a layer without "class_name"\n  Add "class_name".'),
    "a layer without config": (
        [{"class_name": "ReLU"}],
        '{"class_name"',
        'a ReLU layer without "config"\n  Add "config": {}.',
    ),
    "trainable as text": (
        [INPUT, {"class_name": "ReLU", "config": {"name": "a", "trainable": "yes"}}],
        '"yes"',
        "layer 'a' (ReLU): \"trainable\" is neither true nor false\n  Write true or false.",
    ),
    "no input": (
        [RELU, FLAT],
        '{"class_name"',
        "the network begins with layer 'a', which does not say what goes in\n"
        '  Begin with an InputLayer: {"class_name": "InputLayer", "config": {"batch_shape": [null, ...]}}.',
    ),
    "a model without an input that comes first": (
        [{"class_name": "Functional", "config": {"name": "m", "layers": [linked(RELU, ["a"])]}}],
        '{"class_name": "Functional"',
        "the network begins with layer 'm', which does not say what goes in\n"
        '  Begin with an InputLayer: {"class_name": "InputLayer", "config": {"batch_shape": [null, ...]}}.',
    ),
    "an input of which another call is asked for": (
        functional(input_layers=[["x", 2, 1]]),
        '["x", 2, 1]',
        "the network's input 'x' is asked for its call 2, output 1\n  Write [\"x\", 0, 0].",
    ),
    "an input that is listed twice": (
        functional(input_layers=[["x", 0, 0], ["x", 0]]),
        '["x", 0]]',
        "the network's input 'x' is listed twice\n  List it once.",
    ),
    "two layers of one name": (
        [INPUT, RELU, {"class_name": "Tanh", "config": {"name": "a"}}],
        '{"class_name": "Tanh"',
        "2 layers have the name 'a'\n"
        "  Give each layer a name of its own; to share a layer, list it once and call it several times.",
    ),
    "a missing layer": (
        functional(linked(RELU, [[["xs", 0, 0]]])),
        '["xs"',
        "layer 'a' takes its input from 'xs', and there is no such layer\n  Did you mean 'x'?",
    ),
    "a missing layer like no other": (
        functional(linked(RELU, [[["input", 0, 0]]])),
        '["input"',
        "layer 'a' takes its input from 'input', and there is no such layer\n"
        "  Write the name of a layer of this network.",
    ),
    "a missing output": (
        functional(linked(RELU, [[["x", 0, 0]]]), output_layers=[["aa", 0, 0]]),
        '["aa"',
        "the network's inputs and outputs name 'aa', and there is no such layer\n  Did you mean 'a'?",
    ),
    "an input that is none": (
        functional(linked(RELU, [[["x", 0, 0]]]), input_layers=[["a", 0, 0]]),
        '["a", 0, 0]]}',
        "the network's input 'a' is a ReLU\n  Name layers of class InputLayer.",
    ),
    "inbound_nodes as a number": (
        functional(linked(RELU, 3)),
        "3}",
        f'"inbound_nodes" has a form that we do not know\n  {CALL_FORMS}',
    ),
    "a call as a number": (
        functional(linked(RELU, [3])),
        "3]",
        f'"inbound_nodes" has a call of a form that we do not know\n  {CALL_FORMS}',
    ),
    "arguments by name that are a list": (
        functional(linked(RELU, [{"args": [keras_tensor("x", 0, 0)], "kwargs": [1, 2]}])),
        "[1, 2]",
        f"the arguments of a call by name are no object\n  {CALL_FORMS}",
    ),
    "arguments by name that are a text, as Keras 2 writes a call": (
        functional(linked(RELU, [[["x", 0, 0, "mask"]]])),
        '"mask"',
        f"the arguments of a call by name are no object\n  {CALL_FORMS}",
    ),
    "a reference with text for numbers": (
        functional(linked(RELU, [[["x", "0", 0]]])),
        '["x", "0"',
        f"a reference to a layer of a form that we do not know\n  {A_REF}",
    ),
    "a tensor without history": (
        functional(linked(RELU, [{"args": [{"class_name": "__keras_tensor__"}]}])),
        '{"class_name": "__keras',
        f'a tensor without "keras_history"\n  {CALL_FORMS}',
    ),
    "a tensor whose history is a number": (
        functional(linked(RELU, [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": 3}}]}])),
        "3}}]",
        f'a tensor whose "keras_history" is no list of a layer, a call and an output\n  {CALL_FORMS}',
    ),
    "an output that is a number": (
        functional(output_layers=3),
        "3}",
        f"a reference to a layer of a form that we do not know\n  {A_REF}",
    ),
}


def place(value: Any, at: str | None) -> str:
    """Where the first of some characters stand in the one-line file of a value; None for the file as a whole."""
    return "net.json" if at is None else f"net.json:1:{json.dumps(value).index(at) + 1}"


@pytest.mark.parametrize(("value", "at", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_container_is_refused(value: Any, at: str | None, message: str) -> None:
    with pytest.raises(ConversionError) as error:
        read(value)
    assert str(error.value) == f"{place(value, at)}: {message}"


def two(first: Any, second: Any, **keys: Any) -> dict[str, Any]:
    return functional(linked(RELU, first), linked(FLAT, second), **keys)


UNORDERED: dict[str, tuple[Any, str | None, str]] = {
    "a circle": (
        two([[["b", 0, 0]]], [[["a", 0, 0]]]),
        '{"class_name": "ReLU"',
        "these layers wait for each other: 'a' -> 'b' -> 'a'\n"
        '  Break the circle: change the "inbound_nodes" of one of them.',
    ),
    "a layer that waits for itself": (
        functional(linked(RELU, [[["a", 0, 0]]])),
        '{"class_name": "ReLU"',
        "these layers wait for each other: 'a' -> 'a'\n"
        '  Break the circle: change the "inbound_nodes" of one of them.',
    ),
    "a call that is not there": (
        two([[["x", 0, 0]]], [[["a", 1, 0]]]),
        '["a", 1',
        "asks for call 1 of layer 'a', which has 1 (the first is 0)\n  Write the number of a call that the layer has.",
    ),
}


@pytest.mark.parametrize(("value", "at", "message"), UNORDERED.values(), ids=UNORDERED)
def test_calls_without_an_order_are_refused(value: Any, at: str, message: str) -> None:
    with pytest.raises(ConversionError) as error:
        execution_order(read(value))
    assert str(error.value) == f"{place(value, at)}: {message}"


def test_ten_thousand_layers_in_reverse_are_ordered_quickly() -> None:
    layers = [
        linked({"class_name": "ReLU", "config": {"name": f"r{i}"}}, [[[f"r{i - 1}", 0, 0]]]) for i in range(1, 10_000)
    ]
    layers.append(linked({"class_name": "InputLayer", "config": {"name": "r0"}}, []))
    network = read({"layers": layers[::-1], "output_layers": [["r9999", 0, 0]]})
    assert [step.layer.name for step in execution_order(network)] == [f"r{i}" for i in range(10_000)]


def test_a_class_of_one_s_own_with_a_name_of_keras_is_told(caplog: pytest.LogCaptureFixture) -> None:
    own = {"class_name": "ReLU", "registered_name": "Custom>ReLU", "config": {"name": "own"}}
    value = [INPUT, own]
    read(value)
    told = "layer 'own' is of a class of your own, 'Custom>ReLU', and is taken for a ReLU"
    assert caplog.messages == [f"{place(value, json.dumps(own))}: {told}"]
