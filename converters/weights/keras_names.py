"""Keras' variables and our initializers: which name stands for which, and the way between their axis orders.

An array's axes cannot be named without the class of its layer, and a file of weights seldom says it. It comes from
what the file says of its network, or from the network that the weights are for; where neither knows it, from the name
of the variable, which is enough for all but Keras 3's depthwise kernels.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.axes import AxisOrder, unchanged
from converters.errors import WeightFileError
from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.roles import (
    CLASS_NAME_KEY,
    IN_DISTRIBUTED_MODEL_KEY,
    INNER_CLASSES_KEY,
    KERAS_AXES_KEY,
    LAYER_KEY,
    ORDER_KEY,
    TIME_DISTRIBUTED_KEY,
    Role,
    initializer_roles,
)
from converters.weights.keras_arrays import KerasArray
from converters.weights.keras_variables import (
    BY_AXES_OF_THE_INPUT,
    COMMON_WITHOUT_VARIABLES,
    KERAS_VARIABLES,
    LIKELY,
    NOT_WEIGHTS,
    SEPARABLE,
    UNNAMED,
    KerasVariable,
    find_variable,
    keras_variables,
    snake_case,
)
from converters.weights.recurrent_arrays import with_recurrent_classes, without_cudnn_layout
from converters.weights.weight import Array, Weight, Weights, collect_weights

COUNT = "count"
"""A variable of Normalization that no graph has, behind the others."""

__all__ = [
    "NamedVariable",
    "NetworkLayer",
    "full_keras_class",
    "keras_class",
    "name_parts_by_order",
    "name_variables",
    "network_layers",
    "stored_variables",
]


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of the network that a file's weights are for, or that the file says it holds the weights of.

    Args:
        name: with the names of the models it lies in before it, each followed by a dot.
        class_name: Keras' own name of its class, with those of the layers that it holds, as in `keras_variables`;
            empty if it is not known.
        variables: Keras' names of those variables that it has, in Keras' order.
        axes: our name of a parameter -> the order of its axes and its shape in Keras, where the network says it.
        keras_name: what Keras calls the layer, where that is another name.
        time_distributed: how many TimeDistributed it stands in.
        in_distributed_model: whether one of them is around a model that it is part of.
    """

    name: str
    class_name: str
    variables: tuple[str, ...]
    axes: "Mapping[str, KerasAxes]" = field(default_factory=dict)
    keras_name: str = ""
    time_distributed: int = 0
    in_distributed_model: bool = False

    @property
    def kind(self) -> str:
        """What Keras numbers it among: its class as Keras 3 spells it in paths, or that of what wraps it."""
        wrapped = self.time_distributed and not self.in_distributed_model
        return snake_case(TIME_DISTRIBUTED if wrapped else self.class_name.partition("(")[0])


@dataclass(frozen=True)
class KerasAxes:
    """How one parameter of a network lies in Keras: the way from there to ONNX, and its shape there."""

    order: AxisOrder
    keras_shape: tuple[int, ...]


@dataclass(frozen=True)
class NamedVariable:
    """A variable of a Keras file whose layer and own name have been found out.

    Args:
        layer: as of `NetworkLayer`.
        class_name: of the layer; empty if nothing says it.
        variable: Keras' name within the layer.
        weight: as the file names and stores it.
        kind: what Keras numbers the layer among; empty if nothing says it.
    """

    layer: str
    class_name: str
    variable: str
    weight: Weight
    kind: str = ""


def keras_class(class_name: str) -> str:
    """Keras' own name of a class that may be an alias, or be written `Package>Name`."""
    if class_name in KERAS_VARIABLES or class_name in COMMON_WITHOUT_VARIABLES:
        return class_name
    from converters.layers import find_layer  # takes a fifth of the time in which a file is read

    entry = find_layer(class_name)
    return class_name.rpartition(">")[2] if entry is None else entry.class_name


def full_keras_class(class_name: str, inner: str) -> str:
    """Keras' own name of a class, and in brackets those of the classes that it holds, as in `keras_variables`."""
    own = keras_class(class_name)
    return f"{own}({re.sub(r'[^(),]+', lambda name: keras_class(name[0]), inner)})" if inner else own


def network_layers(model: ir.Model) -> tuple[NetworkLayer, ...]:
    """The layers of a converted model that emit nodes, in the order of their network; none of a foreign model."""
    found: dict[str, Mapping[str, str]] = {}
    for node in model.graph:
        metadata = node.metadata_props
        if LAYER_KEY in metadata and str(metadata.get(ORDER_KEY)).isdecimal():
            found.setdefault(metadata[LAYER_KEY], metadata)
    held = {name for name, role in initializer_roles(model).items() if role.kind is not Role.CONSTANT}
    axes = _axes(model)
    return tuple(
        _network_layer(name, metadata, held, axes.get(name, {}))
        for name, metadata in sorted(found.items(), key=lambda item: int(item[1][ORDER_KEY]))
    )


def _network_layer(
    name: str, metadata: Mapping[str, str], held: set[str], axes: Mapping[str, KerasAxes]
) -> NetworkLayer:
    class_name = full_keras_class(str(metadata.get(CLASS_NAME_KEY)), metadata.get(INNER_CLASSES_KEY, ""))
    variables = tuple(v.names[0] for v in keras_variables(class_name) if f"{name}.{v.parameter}" in held)
    wrappers = metadata.get(TIME_DISTRIBUTED_KEY, "")
    return NetworkLayer(
        name,
        class_name,
        variables,
        axes,
        time_distributed=int(wrappers) if wrappers.isdecimal() else 0,
        in_distributed_model=IN_DISTRIBUTED_MODEL_KEY in metadata,
    )


def _axes(model: ir.Model) -> dict[str, dict[str, KerasAxes]]:
    """Layer -> our name of a parameter -> how it lies in Keras, as the nodes say it."""
    found: dict[str, dict[str, KerasAxes]] = {}
    for node in model.graph:
        for name, axes in _stated_axes(node).items():
            value = model.graph.initializers.get(name)
            if value is not None and value.shape == axes.order.onnx_shape(axes.keras_shape):
                found.setdefault(str(node.metadata_props.get(LAYER_KEY)), {})[name] = axes
    return found


def _stated_axes(node: ir.Node) -> dict[str, KerasAxes]:
    """Our name -> how it lies in Keras; nothing where the metadata are damaged."""
    try:
        stated = json.loads(node.metadata_props.get(KERAS_AXES_KEY, "{}"))
        found = {
            str(name): KerasAxes(AxisOrder(*(tuple(map(int, part)) for part in order)), tuple(map(int, shape)))
            for name, (shape, *order) in stated.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}
    return {name: axes for name, axes in found.items() if axes.order.fits(axes.keras_shape)}


def stored_variables(
    weights: Weights, network: Sequence[NetworkLayer]
) -> Iterator[tuple[NetworkLayer, list[tuple[KerasVariable, Callable[[], Array]]]]]:
    """What a file of Keras holds: each layer of a network, and its variables with what reads their values for Keras.

    Raises:
        WeightFileError: if a layer lacks a weight, or, at the end, a weight has no place in the layers.
    """
    left = dict(weights)
    for layer in network:
        known = {variable.names[0]: variable for variable in keras_variables(layer.class_name)}
        variables: list[tuple[KerasVariable, Callable[[], Array]]] = []
        for own in layer.variables:
            name = f"{layer.name}.{known[own].parameter}"
            if name not in left:
                raise WeightFileError(
                    f"the weights lack '{name}'",
                    place=f"layer '{layer.name}'",
                    fix="Give all weights of the network.",
                )
            variables.append((known[own], partial(_keras_values, left.pop(name), layer.axes.get(name))))
        if layer.variables and COUNT in known:
            # Keras counts the samples that it has adapted the layer to, and wants the number back.
            variables.append((known[COUNT], lambda: np.zeros((), np.int32)))
        yield layer, variables
    for name, weight in left.items():
        raise WeightFileError(
            f"no layer of the network has a variable of Keras that '{name}' is",
            place=weight.place,
            fix="Write the weights of a network that was converted from Keras.",
        )


def _keras_values(weight: Weight, axes: KerasAxes | None) -> Array:
    return weight.read() if axes is None else axes.order.to_keras(weight.read(), axes.keras_shape)


def name_parts_by_order(variables: Sequence[NamedVariable], layers: Mapping[str, NetworkLayer]) -> list[NamedVariable]:
    """The variables, those of layers with several parts under the parts' names in Keras 3.

    Keras 2 names a part as it likes (`lstm_cell_3/kernel`), but lists the variables of a layer in Keras 3's order.
    """
    by_layer: dict[str, list[NamedVariable]] = {}
    for v in variables:
        by_layer.setdefault(v.layer, []).append(v)
    named: dict[tuple[str, str], str] = {}
    for name, listed in by_layer.items():
        wanted = layers[name].variables if name in layers else ()
        if [v.variable.rpartition("/")[2] for v in listed] == [own.rpartition("/")[2] for own in wanted]:
            named.update({(name, v.variable): own for v, own in zip(listed, wanted, strict=True)})
    return [replace(v, variable=named.get((v.layer, v.variable), v.variable)) for v in variables]


def name_variables(variables: Iterable[NamedVariable], network: Sequence[NetworkLayer]) -> Weights:
    """The weights under our names and in ONNX order; what is not known keeps its Keras name and order.

    Args:
        network: the layers of the network that the weights are for, whose axes are in the order that it wants.

    Raises:
        WeightFileError: if two get one name.
    """
    listed = [v for v in variables if NOT_WEIGHTS.isdisjoint(v.variable.split("/"))]
    separable = {v.layer for v in listed if not v.class_name and v.variable == "pointwise_kernel"}
    axes = {name: axes.order for layer in network for name, axes in layer.axes.items()}
    standard = without_cudnn_layout(with_recurrent_classes(listed))
    return collect_weights(_onnx_weight(v, axes, separable=v.layer in separable) for v in standard)


def _onnx_weight(named: NamedVariable, known_axes: Mapping[str, AxisOrder], *, separable: bool) -> Weight:
    stored = named.weight
    variable = re.sub(rf"^{UNNAMED}_\d+$", UNNAMED, named.variable)
    if named.class_name:
        found = find_variable(keras_variables(named.class_name), variable)
    else:
        found = next((v for v in (SEPARABLE if separable else LIKELY) if variable in v.names), None)
    rank = len(stored.shape)
    parameter = named.variable.replace("/", ".") if found is None else found.parameter
    name = f"{named.layer}.{parameter}" if named.layer else parameter
    axes = known_axes.get(name)
    told = axes is not None and axes.fits(stored.shape)
    if axes is None or not told:
        axes = unchanged(rank) if found is None else found.axes(rank)
    if not axes.fits(stored.shape):
        axes = unchanged(rank)
    return replace(
        stored,
        name=name,
        shape=axes.onnx_shape(stored.shape),
        read=KerasArray(stored, axes, axes_are_told=told or rank < 2 or found not in BY_AXES_OF_THE_INPUT),
        stored_name=stored.name,
    )
