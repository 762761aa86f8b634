"""The layers that a network goes back to Keras as, named, linked and in Keras' order, and the JSON that they make.

The network is flat: what stood in a model within a model has that model's name before its own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.build import Outline
from converters.keras_order import NodeKey, keras_order
from converters.network import Call, Layer, Network, Operand, Ref, execution_order
from converters.to_keras.given_back import LAYERS_MODULE, GivenBack, KerasLayer
from converters.training_calls import TRAINING
from converters.weights.keras_variables import snake_case

__all__ = ["KerasGraph", "WrittenLayer", "written_graph"]

MODEL_MODULE = "keras.src.models.functional"

KerasTensor = dict[str, Any]
"""A tensor between layers, as the JSON writes it."""


@dataclass(frozen=True)
class WrittenLayer:
    """One layer of the JSON.

    Args:
        source: the name of the layer of the network whose weights it has; empty if it stands beside such a one.
        nodes: its calls: of each, `args` and `kwargs` as the JSON writes them.
    """

    name: str
    layer: KerasLayer
    source: str
    nodes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class KerasGraph:
    """The layers of the JSON in Keras' order, and the JSON."""

    layers: tuple[WrittenLayer, ...]
    json: str


def written_graph(network: Network, given: Mapping[str, GivenBack], outline: Outline) -> KerasGraph:
    """The layers of a network as Keras 3 writes them.

    Args:
        given: by layer, what stands for it.
        outline: of the same network.
    """
    writer = _Writer(network, given, outline)
    layers = {written.name: written for layer in network.layers for written in writer.layers(layer)}
    inputs, outputs = ([writer.history(ref) for ref in refs] for refs in (network.inputs, network.outputs))
    parents = {
        (written.name, number): [_key(history) for history in _histories((node["args"], node["kwargs"]))]
        for written in layers.values()
        for number, node in enumerate(written.nodes or [{"args": [], "kwargs": {}}])
    }
    ordered = tuple(layers[name] for name in keras_order(parents, list(map(_key, outputs))))
    config = {
        "name": _legal(network.name),
        "trainable": True,
        "layers": list(map(_layer_json, ordered)),
        "input_layers": inputs[0] if len(inputs) == 1 else inputs,
        "output_layers": outputs[0] if len(outputs) == 1 else outputs,
    }
    model = {"module": MODEL_MODULE, "class_name": "Functional", "config": config, "registered_name": "Functional"}
    return KerasGraph(ordered, json.dumps(model, ensure_ascii=False, indent=1) + "\n")


class _Writer:
    """References to calls of the network's layers, to those of the layers that are written."""

    def __init__(self, network: Network, given: Mapping[str, GivenBack], outline: Outline) -> None:
        self.given, self.outline = given, outline
        self.numbers = _call_numbers(network)
        self.names = _names(network, given)

    def layers(self, layer: Layer) -> Iterator[WrittenLayer]:
        given = self.given[layer.name]
        name = self.names[layer.name]
        calls = sorted(self.numbers[layer.name], key=self.numbers[layer.name].__getitem__)
        pairs = [(call, given.calls[call]) for call in calls]
        if given.before is not None:
            nodes = [self._node(Call(call.inputs)) for _number, call in pairs]
            yield WrittenLayer(name.before, given.before, "", tuple(nodes))
        main = [self._main_node(name, layer, number, call, given) for number, call in pairs]
        is_input = not layer.calls[0].inputs
        yield WrittenLayer(name.main, given.main, layer.name, () if is_input else tuple(main))
        previous = name.main
        for after, after_name in zip(given.after, name.after, strict=True):
            nodes = [self._after_node(previous, layer, number) for number, _call in pairs]
            yield WrittenLayer(after_name, after, "", tuple(nodes))
            previous = after_name

    def history(self, ref: Ref) -> list[Any]:
        """Keras' reference to what a call of the network gives."""
        return [self.names[ref.layer].last, self.numbers[ref.layer][ref.call], ref.tensor]

    def _tensor(self, ref: Ref) -> KerasTensor:
        return _keras_tensor(self.outline.shapes[ref.layer, ref.call][ref.tensor], self.history(ref))

    def _node(self, call: Call, *, of_operation: bool = False) -> dict[str, Any]:
        """A call; operations of Keras 3 ask for some arguments that are null, layers and functions for none.

        Whether it is for training is left out: fit and predict of Keras 3 say that to the whole network.
        """
        tensors = list(map(self._tensor, call.inputs))
        if not call.arguments and not call.keywords:
            return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}
        return {
            "args": [_argument(value, tensors) for value in call.arguments],
            "kwargs": {
                key: _argument(value, tensors)
                for key, value in call.keywords.items()
                if (of_operation or value is not None) and key != TRAINING
            },
        }

    def _main_node(self, name: "_RowNames", layer: Layer, number: int, call: Call, given: GivenBack) -> dict[str, Any]:
        node = self._node(call, of_operation=bool(layer.module))
        if given.before is None:
            return node
        (ref,) = call.inputs
        padded = [None] * len(self.outline.shapes[ref.layer, ref.call][ref.tensor])  # Keras finds out the sizes
        history = [name.before, self.numbers[layer.name][number], 0]
        return {"args": [_keras_tensor(padded, history)], "kwargs": node["kwargs"]}

    def _after_node(self, previous: str, layer: Layer, number: int) -> dict[str, Any]:
        (shape,) = self.outline.shapes[layer.name, number]
        return {"args": [_keras_tensor(shape, [previous, self.numbers[layer.name][number], 0])], "kwargs": {}}


def _call_numbers(network: Network) -> dict[str, dict[int, int]]:
    """Layer -> number of a call -> its number in the JSON, which counts those that are needed, in order of execution.

    Keras carries out the calls of a layer in this order, so that none may wait for a later one.
    """
    numbers: dict[str, dict[int, int]] = {layer.name: {} for layer in network.layers}
    for step in execution_order(network):
        of_layer = numbers[step.layer.name]
        of_layer[step.call] = len(of_layer)
    return numbers


@dataclass(frozen=True)
class _RowNames:
    """The names of the layers that stand for one."""

    main: str
    before: str
    after: tuple[str, ...]

    @property
    def last(self) -> str:
        return self.after[-1] if self.after else self.main


def _names(network: Network, given: Mapping[str, GivenBack]) -> dict[str, _RowNames]:
    """Names that Keras takes with any backend, no two alike; those of the network's layers come first."""
    taken: set[str] = set()
    mains = {
        layer.name: _unique(_legal(layer.name), taken) for layer in network.layers if layer.name == _legal(layer.name)
    }
    mains |= {layer.name: _unique(_legal(layer.name), taken) for layer in network.layers if layer.name not in mains}
    names = {}
    for layer in network.layers:
        main, row = mains[layer.name], given[layer.name]
        before = "" if row.before is None else _unique(f"{main}_{snake_case(row.before.class_name)}", taken)
        after = tuple(_unique(f"{main}_{snake_case(extra.class_name)}", taken) for extra in row.after)
        names[layer.name] = _RowNames(main, before, after)
    return names


def _legal(name: str) -> str:
    """The name without what a backend of Keras refuses: torch takes no dot, TensorFlow no blank, none a slash."""
    return re.sub(r"[^\w-]", "_", name)


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate


def _keras_tensor(shape: Sequence[int | None], history: list[Any]) -> KerasTensor:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(shape), "dtype": "float32", "keras_history": history},
    }


def _argument(value: Any, tensors: Sequence[KerasTensor]) -> Any:
    if isinstance(value, Operand):
        return tensors[value.index]
    if isinstance(value, Mapping):
        return {key: _argument(item, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_argument(item, tensors) for item in value]
    return value


def _histories(value: Any) -> Iterator[list[Any]]:
    """The references in the arguments of a call, in the order in which Keras goes through them: keys are sorted."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
            return
        for key in sorted(value):
            yield from _histories(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)


def _key(history: Sequence[Any]) -> NodeKey:
    return history[0], history[1]


def _layer_json(written: WrittenLayer) -> dict[str, Any]:
    layer = written.layer
    return {
        "module": layer.module,
        "class_name": layer.class_name,
        "config": {"name": written.name, **layer.config} if layer.named else dict(layer.config),
        "registered_name": None if layer.module == LAYERS_MODULE else layer.class_name,
        "name": written.name,
        "inbound_nodes": list(written.nodes),
    }
