"""How recurrent layers are given back, and which networks cannot be, as Keras 2 passes masks on otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters.build import Outline
from converters.errors import ConversionError
from converters.json_text import JsonObject
from converters.layers import find_layer
from converters.layers.masks import FORGETTING, number_of_masks
from converters.layers.recurrent_cells import KINDS
from converters.nested import MASKED_INPUT
from converters.network import Call, Layer, Network, Operand
from converters.to_keras.given_back import GivenBack, KerasLayer, Source
from converters.to_keras.objects import activation, as_object, initializer, penalty

__all__ = ["bidirectional", "masked_input", "recurrent", "require_same_masks", "rnn"]

WEIGHTS_ALONE = "Use the weights alone: --weights-out with a .safetensors, .npz or .pt file."

KERNELS = tuple(
    f"{kernel}_{what}"
    for kernel in ("kernel", "recurrent", "bias")
    for what in ("initializer", "regularizer", "constraint")
)
CELL = ("units", "activation", "use_bias", "dropout", "recurrent_dropout", *KERNELS)
CELLS = {
    "LSTMCell": (*CELL, "recurrent_activation", "unit_forget_bias"),
    "GRUCell": (*CELL, "recurrent_activation", "reset_after"),
    "SimpleRNNCell": CELL,
}
"""Class of a cell -> the keys of its config that say what it computes, or how it starts and trains."""

SEQUENCE = ("return_sequences", "return_state", "go_backwards", "unroll", "activity_regularizer")
"""Keys of all recurrent layers; others are the cell's, or choose nothing in Keras 3."""

STACKED = "StackedRNNCells"


def recurrent(source: Source) -> GivenBack:
    """An LSTM, GRU or SimpleRNN."""
    return GivenBack(_layer(source.class_name, source.config, source), _calls(source, [f"{source.class_name}Cell"]))


def rnn(source: Source) -> GivenBack:
    """A layer of any cells."""
    cell = source.config["cell"]
    calls = _calls(source, _cell_classes(cell), stacked=cell["class_name"] == STACKED)
    return GivenBack(_layer("RNN", source.config, source), calls)


def bidirectional(source: Source) -> GivenBack:
    """Two recurrent layers; Keras 3 makes the second like the first where none is given."""
    config: dict[str, Any] = {"merge_mode": source.config.get("merge_mode", "concat")}
    cells: list[str] = []
    for key in ("layer", "backward_layer"):
        inner = source.config.get(key)
        if inner is None:
            cells *= 2
            continue
        entry = find_layer(inner["class_name"])
        assert entry is not None, "conversion refuses other layers"
        config[key] = as_object(_layer(entry.class_name, inner["config"], source))
        one = f"{entry.class_name}Cell"
        cells += _cell_classes(inner["config"]["cell"]) if entry.class_name == "RNN" else [one]
    return GivenBack(KerasLayer("Bidirectional", config), _calls(source, cells))


def _layer(class_name: str, config: Mapping[str, Any], source: Source) -> KerasLayer:
    options = {key: config[key] for key in SEQUENCE if config.get(key) is not None and key != "activity_regularizer"}
    if config.get("activity_regularizer") is not None:
        options["activity_regularizer"] = penalty("activity_regularizer", config["activity_regularizer"], source)
    if config.get("zero_output_for_mask") is True:
        options["zero_output_for_mask"] = True
    if class_name == "RNN":
        return KerasLayer("RNN", {**options, "cell": as_object(_cell(config["cell"], source))})
    return KerasLayer(class_name, {**options, **_cell_config(f"{class_name}Cell", config, source)})


def _cell(cell: JsonObject, source: Source) -> KerasLayer:
    class_name, config = cell["class_name"], cell["config"]
    if class_name == STACKED:
        return KerasLayer(STACKED, {"cells": [as_object(_cell(one, source)) for one in config["cells"]]})
    return KerasLayer(class_name, _cell_config(class_name, config, source))


def _cell_config(class_name: str, config: Mapping[str, Any], source: Source) -> dict[str, Any]:
    written = {
        key: _value(key, config[key], source)
        for key in CELLS[class_name]
        if key in config and (config[key] is not None or key.endswith("activation"))
    }
    return {key: value for key, value in written.items() if value is not None}


def _value(key: str, value: Any, source: Source) -> Any:
    if key.endswith("_initializer"):
        return initializer(value)
    if key.endswith(("_regularizer", "_constraint")):
        return penalty(key, value, source)
    if not key.endswith("activation"):
        return value
    if value is None:
        return "linear"
    fused = activation(value, source)
    if fused.after:
        raise source.refusal(f'its "{key}" is the hard_sigmoid of Keras 2, which Keras 3 does not have', WEIGHTS_ALONE)
    return fused.value


def _cell_classes(cell: Mapping[str, Any]) -> list[str]:
    held = cell["config"]["cells"] if cell["class_name"] == STACKED else [cell]
    return [one["class_name"] for one in held]


def _calls(source: Source, cells: Sequence[str], *, stacked: bool = False) -> tuple[Call, ...]:
    """The calls with the first states as an argument of their own; Keras 2 lists them behind the sequence.

    Args:
        cells: whose states those are, in order.
        stacked: whether the states of each cell are a list in the list.
    """
    calls = []
    for call in source.layer.calls:
        listed = call.arguments[0] if call.arguments else tuple(map(Operand, range(len(call.inputs))))
        sequence, *states = listed if isinstance(listed, tuple) else (listed,)
        keywords = dict(call.keywords)
        if states:
            keywords["initial_state"] = _by_cell(states, cells) if stacked else states
        calls.append(replace(call, arguments=(sequence, *call.arguments[1:]), keywords=keywords))
    return tuple(calls)


def _by_cell(states: Sequence[Any], cells: Sequence[str]) -> list[Any]:
    rest = iter(states)
    groups = [[next(rest) for _state in range(KINDS[cell].states)] for cell in cells]
    return [group if len(group) > 1 else group[0] for group in groups]


def masked_input(given: GivenBack) -> GivenBack:
    """What stands for a masked input of a model: TimeDistributed passes on a mask, which Identity does not take."""
    if not any(map(number_of_masks, given.calls)):
        return given
    return replace(given, main=KerasLayer("TimeDistributed", {"layer": as_object(given.main)}))


def require_same_masks(network: Network, outline: Outline, file: str) -> None:
    """Nothing, if masks act in what is given back as in the Keras that wrote the network.

    Raises:
        ConversionError: if Keras 2 did, and the network is more than a row of layers: Keras 3 passes masks on otherwise
            where sequences meet, and makes operations of them, which change the order of layers that stand side by
            side. Or if models within the network are given masks, and attention takes them off as Keras 3 runs, but not
            as it reads the network.
    """
    for layer in network.layers:
        if any(map(number_of_masks, layer.calls)) and layer.class_name == MASKED_INPUT:
            _require_same_input(layer, network, outline, file)
    if network.keras_version is None or network.keras_version > 2 or _is_row(network):
        return
    for layer in network.layers:
        if _makes_mask(layer):
            raise ConversionError(
                "cannot be given back: it masks steps, and the network is not one row of layers, without "
                "TimeDistributed, in which the masks of Keras 2 act in Keras 3 too",
                place=file,
                fix=WEIGHTS_ALONE,
                layer=layer.name,
                class_name=layer.class_name,
            )


def _require_same_input(layer: Layer, network: Network, outline: Outline, file: str) -> None:
    forgetting = [other for other in network.layers if other.class_name in FORGETTING]
    flat = any(len(outline.shapes[ref.layer, ref.call][ref.tensor]) < 3 for ref in (c.inputs[0] for c in layer.calls))
    if forgetting:
        problem = f"it is given a mask for a model within the network, and '{forgetting[0].name}' takes masks off"
    elif layer.time_distributed:
        problem = "it is given a mask for a model within the network, and stands in TimeDistributed"
    elif flat:
        problem = "it is given a mask for a model within the network, and is no sequence"
    else:
        return
    raise ConversionError(
        f"cannot be given back: {problem}",
        place=file,
        fix=WEIGHTS_ALONE,
        layer=layer.name,
        class_name=layer.class_name,
    )


def _is_row(network: Network) -> bool:
    calls = [call for layer in network.layers for call in layer.calls]
    read = [ref.layer for call in calls for ref in call.inputs]
    return (
        len(network.inputs) == 1
        and len(calls) == len(network.layers)
        and all(len(call.inputs) <= 1 for call in calls)
        and len(set(read)) == len(read)
        and not any(layer.time_distributed for layer in network.layers)
    )


def _makes_mask(layer: Layer) -> bool:
    return layer.class_name.rpartition(">")[2] == "Masking" or layer.config.get("mask_zero") is True
