"""A network as its file describes it, whatever the file's format: layers, what their calls take, inputs and outputs.

Nothing here knows a layer's meaning; `converters.layers` does.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from converters.errors import ConversionError, joined
from converters.json_text import JsonObject

__all__ = [
    "Call",
    "InnerInput",
    "Layer",
    "Network",
    "Operand",
    "Ref",
    "StatedShape",
    "Step",
    "check_references",
    "drop_unreachable",
    "execution_order",
]


@dataclass(frozen=True)
class Ref:
    """Output number `tensor` of call number `call` of a layer, both from 0; `place` is where the file asks for it.

    `listed` tells `["name", 0, 0]` from a tensor of Keras 3: the two number the calls of a nested model differently.
    """

    layer: str
    call: int
    tensor: int
    place: str = field(compare=False)
    listed: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Operand:
    """Stands in the arguments of a call for one of its inputs, numbered from 0."""

    index: int


@dataclass(frozen=True)
class Call:
    """One use of a layer: the tensors it takes, and all that it is given, an `Operand` in the place of each tensor.

    Lists among the arguments are tuples; most layers need nothing but the inputs.
    """

    inputs: tuple[Ref, ...]
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StatedShape:
    """What a file says at a key of a tensor's shape, which the network computes: in Keras' order, None for any size."""

    key: str
    sizes: tuple[int | None, ...]
    place: str


@dataclass(frozen=True)
class InnerInput:
    """What a call gives to an input layer of a model within the network, which says a shape.

    `time_distributed` is how many axes behind the batch the model does not see.
    """

    name: str
    given: Ref
    stated: StatedShape
    time_distributed: int


@dataclass(frozen=True)
class Layer:
    """A layer and its uses; one that is called more than once shares its parameters between the calls.

    `inner` is what a model that serves as a layer consists of; `converters.nested` puts it in the layer's place.
    `module` is where an operation of Keras 3 lives by the file's word, empty for everything else.
    `time_distributed` is how many TimeDistributed it stands in: it acts on each of so many axes behind the batch alone.
    `in_distributed_model` says that one of them is around a model which the layer is part of.
    `stated_shapes` are those that the file says its only input has.
    """

    name: str
    class_name: str
    config: JsonObject
    calls: tuple[Call, ...]
    place: str
    trainable: bool
    inner: "Network | None" = None
    module: str = ""
    time_distributed: int = 0
    in_distributed_model: bool = False
    stated_shapes: tuple[StatedShape, ...] = ()

    def error(self, problem: str, fix: str) -> ConversionError:
        """The error that this layer causes, to be raised."""
        return ConversionError(problem, place=self.place, fix=fix, layer=self.name, class_name=self.class_name)


@dataclass(frozen=True)
class Network:
    """A whole network; `inputs` are calls of input layers, in the order of the file.

    `keras_version` is the major version of Keras that wrote the file, None if nothing in it says.
    `left_out` tells of layers that no output depends on, empty if there are none.
    `inner_inputs` are those of models within it that were put in the place where they stand.
    """

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    place: str
    keras_version: int | None = None
    left_out: str = ""
    inner_inputs: tuple[InnerInput, ...] = ()


@dataclass(frozen=True)
class Step:
    """One call to carry out: call number `call` of layer number `order` of the network."""

    layer: Layer
    order: int
    call: int

    @property
    def inputs(self) -> tuple[Ref, ...]:
        return self.layer.calls[self.call].inputs


def check_references(network: Network) -> None:
    """Nothing, if every layer has its own name and every reference names a layer.

    Raises:
        ConversionError: that tells all that do not.
    """
    counts = Counter(layer.name for layer in network.layers)
    names = list(counts)
    errors = [*_repeated_names(network, counts)]
    for layer in network.layers:
        for ref in (ref for call in layer.calls for ref in call.inputs if ref.layer not in counts):
            errors.append(_missing(ref, f"layer '{layer.name}' takes its input from", names))
    for ref in (*network.inputs, *network.outputs):
        if ref.layer not in counts:
            errors.append(_missing(ref, "the network's inputs and outputs name", names))
    if errors:
        raise joined(errors, network.place)


def _repeated_names(network: Network, counts: Mapping[str, int]) -> Iterator[ConversionError]:
    """An error for each name that several layers have, where the second of them stands."""
    seen: Counter[str] = Counter()
    for layer in network.layers:
        seen[layer.name] += 1
        if seen[layer.name] == 2:
            yield ConversionError(
                f"{counts[layer.name]} layers have the name '{layer.name}'",
                place=layer.place,
                fix="Give each layer a name of its own; to share a layer, list it once and call it several times.",
            )


def drop_unreachable(network: Network) -> Network:
    """The network without the layers that no output depends on, which `left_out` tells of.

    A shared layer is reached through those of its calls that an output depends on.
    """
    layers = {layer.name: layer for layer in network.layers}
    reached: set[tuple[str, int]] = set()
    to_visit = [(ref.layer, ref.call) for ref in network.outputs]
    while to_visit:
        name, call = to_visit.pop()
        if (name, call) not in reached:
            reached.add((name, call))
            calls = layers[name].calls[call : call + 1]  # of one that is not there, the order of execution tells
            to_visit.extend((ref.layer, ref.call) for call in calls for ref in call.inputs)
    names = {name for name, _call in reached}
    unused = [layer for layer in network.layers if layer.name not in names]
    if not unused:
        return network
    told = ", ".join(f"'{layer.name}'" for layer in unused)
    return replace(
        network,
        left_out=f"{unused[0].place}: no output depends on {told}; left out of the graph",
        layers=tuple(layer for layer in network.layers if layer.name in names),
        inputs=tuple(ref for ref in network.inputs if ref.layer in names),
    )


def execution_order(network: Network) -> tuple[Step, ...]:
    """The calls that the outputs depend on, each after those that it takes its inputs from, else in the file's order.

    Raises:
        ConversionError: if layers wait for each other, or a reference asks for a call that is not there.
    """
    steps = {
        (layer.name, number): Step(layer, order, number)
        for order, layer in enumerate(network.layers)
        for number in range(len(layer.calls))
    }
    needed = _needed(network, steps)
    waiting = {key: {(ref.layer, ref.call) for ref in steps[key].inputs} for key in needed}
    feeds: dict[tuple[str, int], list[tuple[str, int]]] = {key: [] for key in needed}
    for key, sources in waiting.items():
        for source in sources:
            feeds[source].append(key)
    ready = [(steps[key].order, key) for key, sources in waiting.items() if not sources]
    heapq.heapify(ready)
    ordered: list[Step] = []
    while ready:
        _order, key = heapq.heappop(ready)
        ordered.append(steps[key])
        for follower in feeds[key]:
            waiting[follower].remove(key)
            if not waiting[follower]:
                heapq.heappush(ready, (steps[follower].order, follower))
    if len(ordered) < len(needed):
        raise _cycle({key: sources for key, sources in waiting.items() if sources}, steps)
    return tuple(ordered)


def _needed(network: Network, steps: dict[tuple[str, int], Step]) -> dict[tuple[str, int], None]:
    """The keys of the calls that the outputs depend on, each reference checked on the way."""
    needed: dict[tuple[str, int], None] = {}
    to_visit = list(network.outputs)
    while to_visit:
        ref = to_visit.pop()
        key = ref.layer, ref.call
        if key not in steps:
            calls = sum(name == ref.layer for name, _number in steps)
            raise ConversionError(
                f"asks for call {ref.call} of layer '{ref.layer}', which has {calls} (the first is 0)",
                place=ref.place,
                fix="Write the number of a call that the layer has.",
            )
        if key not in needed:
            needed[key] = None
            to_visit.extend(steps[key].inputs)
    return needed


def _cycle(waiting: dict[tuple[str, int], set[tuple[str, int]]], steps: dict[tuple[str, int], Step]) -> ConversionError:
    """An error that names the layers of one cycle; follows waiting calls backwards until one comes again."""
    path = [min(waiting)]
    while path[-1] not in path[:-1]:
        path.append(min(source for source in waiting[path[-1]] if source in waiting))
    circle = path[path.index(path[-1]) + 1 :][::-1]
    first = circle.index(min(circle, key=lambda key: steps[key].order))
    names = [name for name, _number in (*circle[first:], *circle[: first + 1])]
    return ConversionError(
        "these layers wait for each other: " + " -> ".join(f"'{name}'" for name in names),
        place=steps[circle[first]].layer.place,
        fix='Break the circle: change the "inbound_nodes" of one of them.',
    )


def _missing(ref: Ref, who: str, names: list[str]) -> ConversionError:
    close = get_close_matches(ref.layer, names)
    return ConversionError(
        f"{who} '{ref.layer}', and there is no such layer",
        place=ref.place,
        fix=f"Did you mean {' or '.join(map(repr, close))}?" if close else "Write the name of a layer of this network.",
    )
