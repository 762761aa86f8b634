"""Every problem of a network is told at once, and none that only follows from another. Whole messages are compared."""

import json
from typing import Any

import pytest

from converters.build import build_model
from converters.errors import ConversionError
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from tests.converters.test_keras_json import CALL_FORMS
from tests.converters.test_layer_errors import USE_OTHERS

IMAGE = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 8, 11, 3]}, "inbound_nodes": []}


def layer(class_name: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    """A layer that is called on these others."""
    return {"class_name": class_name, "config": {"name": name, **config}, "inbound_nodes": [*inputs]}


def refusal(value: Any) -> str:
    with pytest.raises(ConversionError) as error:
        build_model(network_from_json(parse_json(json.dumps(value), "net.json"), "net.json"))
    return str(error.value)


def at(value: Any, part: Any) -> str:
    """Where a part of the one-line file first stands."""
    return f"net.json:1:{json.dumps(value).index(json.dumps(part)) + 1}"


WIDE = layer("Conv2D", "wide", "x", filters=4, kernel_size=9)
DEEP = layer("Conv3D", "deep", "x", filters=4, kernel_size=3)
SMALL = layer("Dense", "small", "x", units=-3)
CUT = layer("Cropping2D", "cut", "x", cropping=[4, 1])
OWN = layer("Unheard", "own", "cut")
BRANCHES = {
    "layers": [
        IMAGE,
        WIDE,
        layer("ReLU", "behind_wide", "wide"),
        DEEP,
        SMALL,
        layer("Flatten", "behind_small", "small"),
        layer("Concatenate", "join", "behind_wide", "deep", "behind_small"),
        CUT,
        OWN,
    ],
    "output_layers": [["join", 0, 0], ["own", 0, 0], ["x", 0, 1]],
}


def test_problems_of_configs_and_of_inputs_are_told_together_without_what_follows_from_them() -> None:
    assert refusal(BRANCHES) == (
        "net.json: 6 problems\n"
        f"  {at(BRANCHES, WIDE)}: layer 'wide' (Conv2D): its input (N, 8, 11, 3) is smaller than its window (9, 9), "
        'with padding "valid"\n'
        '    Use a larger input, fewer layers that shrink it, or padding "same".\n'
        f"  {at(BRANCHES, DEEP)}: layer 'deep' (Conv3D): "
        "takes an input (N, D, H, W, C), and is given (N, 8, 11, 3)\n"
        "    Use the class for that many axes, or change the layers before it.\n"
        f"  {at(BRANCHES, -3)}: layer 'small' (Dense): \"units\" is -3, which is not allowed here\n"
        "    Write an integer from 1 on.\n"
        f"  {at(BRANCHES, CUT)}: layer 'cut' (Cropping2D): "
        "nothing is left of its input (N, 8, 11, 3): it cuts off [[4, 4], [1, 1]]\n"
        '    Use a larger input, or cut less in "cropping".\n'
        f"  {at(BRANCHES, OWN)}: layer 'own' (Unheard): this class cannot be converted\n"
        f"    {USE_OTHERS}\n"
        f"  {at(BRANCHES, ['x', 0, 1])}: asks for output 1 of layer 'x', which has one output (number 0)\n"
        "    Write 0.\n"
        "  Mend them all; nothing was converted."
    )


def test_the_calls_of_a_shared_layer_tell_one_problem_once() -> None:
    shared = layer("Conv3D", "deep", [["x", 0, 0]], [["y", 0, 0]], filters=4, kernel_size=3)
    outputs = [["deep", 0, 0], ["deep", 1, 0]]
    value = {"layers": [IMAGE, layer("ReLU", "y", "x"), shared], "output_layers": outputs}
    assert refusal(value) == (
        f"{at(value, shared)}: layer 'deep' (Conv3D): takes an input (N, D, H, W, C), and is given (N, 8, 11, 3)\n"
        "  Use the class for that many axes, or change the layers before it."
    )


def test_a_circle_is_told_together_with_wrong_configs() -> None:
    first = layer("Add", "a", "x", "b")
    value = {"layers": [IMAGE, first, layer("ReLU", "b", "a"), layer("Dense", "c", "b", units=-3)]}
    assert refusal(value) == (
        "net.json: 2 problems\n"
        f"  {at(value, -3)}: layer 'c' (Dense): \"units\" is -3, which is not allowed here\n"
        "    Write an integer from 1 on.\n"
        f"  {at(value, first)}: these layers wait for each other: 'a' -> 'b' -> 'a'\n"
        '    Break the circle: change the "inbound_nodes" of one of them.\n'
        "  Mend them all; nothing was converted."
    )


def test_layers_that_cannot_be_read_are_told_together() -> None:
    nameless, bare = {"config": {}}, {"class_name": "ReLU"}
    value = {"layers": [IMAGE, bare, nameless, layer("Tanh", "a", "x", trainable=77)]}
    assert refusal(value) == (
        "net.json: 3 problems\n"
        f'  {at(value, bare)}: a ReLU layer without "config"\n'
        '    Add "config": {}.\n'
        f'  {at(value, nameless)}: a layer without "class_name"\n'
        '    Add "class_name".\n'
        f"  {at(value, 77)}: layer 'a' (Tanh): \"trainable\" is neither true nor false\n"
        "    Write true or false.\n"
        "  Mend them all; nothing was converted."
    )


def test_calls_of_an_unknown_form_are_told_together() -> None:
    value = {"layers": [IMAGE, layer("ReLU", "a", 5), layer("ReLU", "b", 6), layer("ReLU", "c", "x")]}
    assert refusal(value) == (
        "net.json: 2 problems\n"
        f'  {at(value, 5)}: "inbound_nodes" has a call of a form that we do not know\n'
        f'  {at(value, 6)}: "inbound_nodes" has a call of a form that we do not know\n'
        f"    {CALL_FORMS}\n"
        "  Mend them all; nothing was converted."
    )


def test_missing_and_repeated_names_are_told_together() -> None:
    second = layer("Tanh", "a", "gone")
    missing = ["end", 0, 0]
    value = {"layers": [IMAGE, layer("ReLU", "a", "x"), second, layer("ELU", "a", "x")], "output_layers": [missing]}
    assert refusal(value) == (
        "net.json: 3 problems\n"
        f"  {at(value, second)}: 3 layers have the name 'a'\n"
        "    Give each layer a name of its own; to share a layer, list it once and call it several times.\n"
        f"  {at(value, ['gone'])}: layer 'a' takes its input from 'gone', and there is no such layer\n"
        f"  {at(value, missing)}: the network's inputs and outputs name 'end', and there is no such layer\n"
        "    Write the name of a layer of this network.\n"
        "  Mend them all; nothing was converted."
    )


def test_inputs_that_are_none_or_come_twice_are_told_together() -> None:
    inputs = [["x", 0, 0], ["a", 0, 0], ["x", 0]]
    value = {"layers": [IMAGE, layer("ReLU", "a", "x")], "input_layers": inputs}
    assert refusal(value) == (
        "net.json: 2 problems\n"
        f"  {at(value, inputs[1])}: the network's input 'a' is a ReLU\n"
        "    Name layers of class InputLayer.\n"
        f"  {at(value, inputs[2])}: the network's input 'x' is listed twice\n"
        "    List it once.\n"
        "  Mend them all; nothing was converted."
    )


def test_problems_of_a_model_within_a_model_are_told_with_those_of_the_others() -> None:
    inner = {
        "class_name": "Sequential",
        "config": {"name": "inner", "layers": [{"class_name": "ReLU"}, {"config": {}}]},
    }
    bare = {"class_name": "Tanh"}
    value = {"layers": [IMAGE, {**inner, "inbound_nodes": ["x"]}, bare]}
    assert refusal(value) == (
        "net.json: 3 problems\n"
        f'  {at(value, {"class_name": "ReLU"})}: a ReLU layer without "config"\n'
        '    Add "config": {}.\n'
        f'  {at(value, {"config": {}})}: a layer without "class_name"\n'
        '    Add "class_name".\n'
        f'  {at(value, bare)}: a Tanh layer without "config"\n'
        '    Add "config": {}.\n'
        "  Mend them all; nothing was converted."
    )


def test_wrong_calls_of_models_are_told_together() -> None:
    rows = [
        {"class_name": "Sequential", "config": {"name": name, "layers": [{"class_name": "ReLU", "config": {}}]}}
        | {"inbound_nodes": [["x", "x"]]}
        for name in ("first", "second")
    ]
    value = {"layers": [IMAGE, *rows], "output_layers": [["first", 0, 0], ["second", 0, 0]]}
    assert refusal(value) == (
        "net.json: 2 layers cannot be converted\n"
        f"  {at(value, rows[0])}: layer 'first' (Sequential): is called with 2 tensors, and has 1 inputs\n"
        f"  {at(value, rows[1])}: layer 'second' (Sequential): is called with 2 tensors, and has 1 inputs\n"
        '    Change its "inbound_nodes".\n'
        "  Mend them all; nothing was converted."
    )
