"""Keras' variables and our initializers: which name stands for which, and the way between their axis orders.

An array's axes cannot be named without the class of its layer, and a file of weights seldom says it. It comes from
what the file says of its network, or from the network that the weights are for; where neither knows it, from the name
of the variable, which is enough for all but Keras 3's depthwise kernels.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from converters.axes import DENSE_KERNEL, AxisOrder, convolution_kernel, depthwise_kernel, unchanged
from converters.roles import CLASS_NAME_KEY, KERAS_AXES_KEY, LAYER_KEY, ORDER_KEY, Role, initializer_roles
from converters.weights.weight import Weight, Weights, collect_weights

__all__ = [
    "KERAS_VARIABLES",
    "NOT_WEIGHTS",
    "KerasVariable",
    "NamedVariable",
    "NetworkLayer",
    "keras_class",
    "name_variables",
    "network_layers",
    "snake_case",
]


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of the network that a file's weights are for, or that the file says it holds the weights of.

    Args:
        name: with the names of the models it lies in before it, each followed by a dot.
        class_name: Keras' own name of its class; empty if it is not known.
        variables: Keras' names of those variables that it has, in Keras' order.
        axes: our name of a parameter -> the order of its axes and its shape in Keras, where the network says it.
        keras_name: what Keras calls the layer, where that is another name.
    """

    name: str
    class_name: str
    variables: tuple[str, ...]
    axes: "Mapping[str, KerasAxes]" = field(default_factory=dict)
    keras_name: str = ""


@dataclass(frozen=True)
class KerasAxes:
    """How one parameter of a network lies in Keras: the way from there to ONNX, and its shape there."""

    order: AxisOrder
    keras_shape: tuple[int, ...]


@dataclass(frozen=True)
class KerasVariable:
    """One variable of a layer class.

    Args:
        names: what Keras calls it within its layer, and what other versions of Keras do.
        parameter: what we call it: `<layer>.<parameter>`.
        axes: the axis order of an array of so many axes.
    """

    names: tuple[str, ...]
    parameter: str
    axes: Callable[[int], AxisOrder]


@dataclass(frozen=True)
class NamedVariable:
    """A variable of a Keras file whose layer and own name have been found out.

    Args:
        layer: as of `NetworkLayer`.
        class_name: of the layer; empty if nothing says it.
        variable: Keras' name within the layer.
        weight: as the file names and stores it.
    """

    layer: str
    class_name: str
    variable: str
    weight: Weight


def _channels_first(rank: int) -> AxisOrder:
    return AxisOrder((rank - 1, *range(rank - 1)))


def _kernel(rank: int) -> AxisOrder:
    """Of a Dense layer with two axes, else of a convolution, plain or transposed."""
    if rank == 2:
        return DENSE_KERNEL
    return convolution_kernel(rank - 2) if rank > 2 else unchanged(rank)


def _depthwise(rank: int) -> AxisOrder:
    return depthwise_kernel(rank - 2) if rank > 2 else unchanged(rank)


KERNEL = KerasVariable(("kernel",), "weight", _kernel)
BIAS = KerasVariable(("bias",), "bias", unchanged)
GAMMA = KerasVariable(("gamma",), "weight", unchanged)
BETA = KerasVariable(("beta",), "bias", unchanged)
MOVING_MEAN = KerasVariable(("moving_mean",), "running_mean", unchanged)
MOVING_VARIANCE = KerasVariable(("moving_variance",), "running_var", unchanged)
ALPHA = KerasVariable(("alpha",), "weight", _channels_first)
EMBEDDINGS = KerasVariable(("embeddings",), "weight", unchanged)

DEPTHWISE = KerasVariable(("depthwise_kernel", "kernel"), "weight", _depthwise)
DEPTHWISE_PART = KerasVariable(("depthwise_kernel",), "depthwise.weight", _depthwise)
POINTWISE_PART = KerasVariable(("pointwise_kernel",), "pointwise.weight", _kernel)

UNNAMED = "variable"
"""What Keras 3 calls a variable that its layer gives no name; the second and all further ones with a number."""

NOT_WEIGHTS = frozenset({"count", "seed_generator", "seed_generator_state"})
"""Ends of the names of variables that count or draw random numbers, which no ONNX graph has."""

WEIGHTED = (KERNEL, BIAS)
DEPTHWISE_WEIGHTED = (DEPTHWISE, BIAS)
SEPARABLE = (DEPTHWISE_PART, POINTWISE_PART, BIAS)
SCALED = (GAMMA, BETA)

KERAS_VARIABLES: dict[str, tuple[KerasVariable, ...]] = {
    "Dense": WEIGHTED,
    "Conv1D": WEIGHTED,
    "Conv2D": WEIGHTED,
    "Conv3D": WEIGHTED,
    "Conv1DTranspose": WEIGHTED,
    "Conv2DTranspose": WEIGHTED,
    "Conv3DTranspose": WEIGHTED,
    "DepthwiseConv1D": DEPTHWISE_WEIGHTED,
    "DepthwiseConv2D": DEPTHWISE_WEIGHTED,
    "DepthwiseConv3D": DEPTHWISE_WEIGHTED,
    "SeparableConv1D": SEPARABLE,
    "SeparableConv2D": SEPARABLE,
    "BatchNormalization": (GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE),
    "GroupNormalization": SCALED,
    "InstanceNormalization": SCALED,
    "LayerNormalization": SCALED,
    "RMSNormalization": (KerasVariable(("scale",), "weight", unchanged),),
    "Normalization": (
        KerasVariable(("mean",), "running_mean", unchanged),
        KerasVariable(("variance",), "running_var", unchanged),
        KerasVariable(("count",), "count", unchanged),
    ),
    "LayerScale": (KerasVariable(("gamma", UNNAMED, "Variable"), "weight", unchanged),),
    "PReLU": (ALPHA,),
    "Embedding": (EMBEDDINGS,),
}
"""Keras' name of a class -> its variables, in the order in which Keras 3 numbers them."""

LIKELY = (KERNEL, BIAS, GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE, ALPHA, EMBEDDINGS, DEPTHWISE, POINTWISE_PART)
"""What a variable is in a layer whose class nothing says. A kernel that is taken for a convolution's though it is a
depthwise one gets another shape, or one input channel makes the two the same: it is never copied wrongly."""


def snake_case(class_name: str) -> str:
    """A class name as Keras 3 writes it in paths: `Conv2DTranspose` -> `conv2d_transpose`, `PReLU` -> `p_re_lu`."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def keras_class(class_name: str) -> str:
    """Keras' own name of a class that may be an alias, or be written `Package>Name`."""
    from converters.layers import find_layer  # the layers are no part of reading other formats

    entry = find_layer(class_name)
    return class_name.rpartition(">")[2] if entry is None else entry.class_name


def network_layers(model: ir.Model) -> tuple[NetworkLayer, ...]:
    """The layers of a converted model that emit nodes, in the order of their network; none of a foreign model."""
    found: dict[str, tuple[int, str]] = {}
    for node in model.graph:
        metadata = node.metadata_props
        if LAYER_KEY in metadata and str(metadata.get(ORDER_KEY)).isdecimal():
            found.setdefault(metadata[LAYER_KEY], (int(metadata[ORDER_KEY]), str(metadata.get(CLASS_NAME_KEY))))
    held = {name for name, role in initializer_roles(model).items() if role.kind is not Role.CONSTANT}
    axes = _axes(model)
    layers = []
    for name, (_order, class_name) in sorted(found.items(), key=lambda item: item[1][0]):
        known = KERAS_VARIABLES.get(keras_class(class_name), ())
        variables = tuple(v.names[0] for v in known if f"{name}.{v.parameter}" in held)
        layers.append(NetworkLayer(name, keras_class(class_name), variables, axes.get(name, {})))
    return tuple(layers)


def _axes(model: ir.Model) -> dict[str, dict[str, KerasAxes]]:
    """Layer -> our name of a parameter -> how it lies in Keras, as the nodes say it."""
    found: dict[str, dict[str, KerasAxes]] = {}
    for node in model.graph:
        for name, (keras_shape, permutation) in _stated_axes(node).items():
            value = model.graph.initializers.get(name)
            for order in (AxisOrder(permutation), AxisOrder(permutation, merged=True)):
                if value is not None and value.shape == order.onnx_shape(keras_shape):
                    found.setdefault(str(node.metadata_props.get(LAYER_KEY)), {})[name] = KerasAxes(order, keras_shape)
    return found


def _stated_axes(node: ir.Node) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Our name -> shape in Keras and permutation; nothing where the metadata are damaged."""
    try:
        stated = json.loads(node.metadata_props.get(KERAS_AXES_KEY, "{}"))
        pairs = {str(name): (tuple(map(int, shape)), tuple(map(int, axes))) for name, (shape, axes) in stated.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {name: pair for name, pair in pairs.items() if sorted(pair[1]) == list(range(len(pair[0])))}


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
    return collect_weights(_onnx_weight(v, axes, separable=v.layer in separable) for v in listed)


def _onnx_weight(named: NamedVariable, known_axes: Mapping[str, AxisOrder], *, separable: bool) -> Weight:
    stored = named.weight
    likely = SEPARABLE if separable else LIKELY
    known = KERAS_VARIABLES.get(named.class_name, () if named.class_name else likely)
    variable = re.sub(rf"^{UNNAMED}_\d+$", UNNAMED, named.variable)
    found = next((v for v in known if variable in v.names), None)
    rank = len(stored.shape)
    parameter = named.variable.replace("/", ".") if found is None else found.parameter
    name = f"{named.layer}.{parameter}" if named.layer else parameter
    axes = unchanged(rank) if found is None else found.axes(rank)
    if name in known_axes and len(known_axes[name].permutation) == rank:
        axes = known_axes[name]
    return replace(
        stored,
        name=name,
        shape=axes.onnx_shape(stored.shape),
        read=lambda: axes.to_onnx(stored.read()),
        stored_name=stored.name,
    )
