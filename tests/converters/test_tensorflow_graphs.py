"""Operations of TensorFlow graphs in networks of Keras 2, against what TensorFlow computed, as it was recorded."""

from pathlib import Path
from typing import Any

import pytest

from converters.layers.operations import OPERATIONS, RAW_PREFIX
from converters.node_def import TypeName, read_node_def
from tests.converters.recorded_networks import Recording

RECORDING = Recording("graph")
NETWORKS = RECORDING.networks


@pytest.mark.parametrize("expression", NETWORKS)
def test_an_operation_equals_tensorflow(expression: str, tmp_path: Path) -> None:
    RECORDING.assert_equals_tensorflow(expression, tmp_path / "net.json")


def has_text(expression: str) -> bool:
    return all(layer["node_def_text"] is not None for layer in NETWORKS[expression]["layers"])


@pytest.mark.parametrize("expression", [*filter(has_text, NETWORKS)])
def test_an_operation_in_a_text_equals_tensorflow(expression: str, tmp_path: Path) -> None:
    """As TensorFlow 2.0 wrote it; and lists were lists, where later versions write objects."""

    def as_written_first(layer: dict[str, Any]) -> None:
        layer["config"]["node_def"] = layer["node_def_text"]
        constants = layer["config"]["constants"]
        for place, value in constants.items():
            constants[place] = value["config"]["value"] if isinstance(value, dict) else value

    RECORDING.assert_equals_tensorflow(expression, tmp_path / "net.json", as_written_first)


def test_a_text_and_an_object_are_read_alike() -> None:
    layers = [layer for recorded in NETWORKS.values() for layer in recorded["layers"] if layer["node_def_text"]]
    assert len(layers) > 100
    for layer in layers:
        assert read_node_def(layer["node_def_text"]) == read_node_def(layer["config"]["node_def"])


def test_every_operation_has_a_case() -> None:
    recorded = {layer["config"]["node_def"]["op"] for described in NETWORKS.values() for layer in described["layers"]}
    assert {name.removeprefix(RAW_PREFIX) for name in OPERATIONS if name.startswith(RAW_PREFIX)} == recorded


DAMAGED = {
    "nothing": "",
    "a number": 3,
    "no operation": {"attr": {}},
    "an operation that is no text": {"op": 3},
    "attributes that are a list": {"op": "Mul", "attr": []},
    "an attribute that is no object": {"op": "Mul", "attr": {"T": 3}},
    "an attribute of two kinds": {"op": "Mul", "attr": {"T": {"b": True, "i": 3}}},
    "an unknown kind of attribute": {"op": "Mul", "attr": {"T": {"tensor": {}}}},
    "an integer that is none": {"op": "Mul", "attr": {"T": {"i": "two"}}},
    "an integer of many digits": {"op": "Mul", "attr": {"T": {"i": "9" * 5000}}},
    "a flag that is none": {"op": "Mul", "attr": {"T": {"b": 1}}},
    "a list of numbers that is none": {"op": "Mul", "attr": {"T": {"list": {"i": 3}}}},
    "bytes that are none": {"op": "Mul", "attr": {"T": {"s": "*"}}},
    "bytes that are no text": {"op": "Mul", "attr": {"T": {"s": "/w=="}}},
    "a text that is no message": "Mul",
    "a message without an operation": "\n\x03Mul",
    "a message with a number for a text": "\x12\x03Mul*\x02\x08\x01",
    "a message with an empty attribute": "\x12\x03Mul*\x05\n\x01T\x12\x00",
    "a message with an unknown field": "\x12\x03Mul*\x07\n\x01T\x12\x02@\x01",
}


@pytest.mark.parametrize("node_def", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_operation_is_none(node_def: Any) -> None:
    assert read_node_def(node_def) is None


def test_types_are_names_of_their_own() -> None:
    node = read_node_def({"op": "Cast", "attr": {"DstT": {"type": "DT_INT32"}, "SrcT": {"type": "DT_QINT8"}}})
    assert node is not None
    assert node.attributes == {"DstT": "int32", "SrcT": "DT_QINT8"}
    assert all(isinstance(value, TypeName) for value in node.attributes.values())
