"""What each initializer of an ONNX graph is: something that training changes, a running statistic, or a constant.

Graphs of ours say it in their metadata; in foreign graphs it follows from the type and from where the initializer is
used.
"""

import json
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

import onnx_ir as ir

__all__ = [
    "CLASS_NAME_KEY",
    "FIXED_KEY",
    "INNER_CLASSES_KEY",
    "IN_DISTRIBUTED_MODEL_KEY",
    "KERAS_AXES_KEY",
    "LAYER_KEY",
    "NETWORK_KEY",
    "ORDER_KEY",
    "SHARED_MASK_KEY",
    "TIME_DISTRIBUTED_KEY",
    "TRAINABLE_KEY",
    "InitializerRole",
    "Role",
    "initializer_roles",
    "kind_of_name",
    "layer_of",
]

NETWORK_KEY = "onnxgrid.network"
"""Model metadata: the network's name."""
LAYER_KEY = "onnxgrid.layer"
"""Node metadata: the name of the layer that the node belongs to; the same in every call of a shared layer."""
CLASS_NAME_KEY = "onnxgrid.class_name"
"""Node metadata: the layer's class, as its file spells it; of a layer in TimeDistributed, its own."""
INNER_CLASSES_KEY = "onnxgrid.inner_classes"
"""Node metadata: the classes of the layers or cells that a layer consists of, `LSTM,GRU`, where its file lists them."""
TIME_DISTRIBUTED_KEY = "onnxgrid.time_distributed"
"""Node metadata: how many TimeDistributed the layer stands in; absent if in none."""
IN_DISTRIBUTED_MODEL_KEY = "onnxgrid.in_distributed_model"
"""Node metadata: "true" where one of those is around a model that the layer is part of, else absent."""
ORDER_KEY = "onnxgrid.order"
"""Node metadata: the layer's place in the network's list, from 0."""
TRAINABLE_KEY = "onnxgrid.trainable"
"""Node metadata: "false" where the layer is frozen, else absent."""
FIXED_KEY = "onnxgrid.fixed"
"""Node metadata: a JSON list of those float initializers among the node's inputs that are never trained nor counted."""
KERAS_AXES_KEY = "onnxgrid.keras_axes"
"""Node metadata: JSON, by name of those parameters among the node's inputs that have several axes: the shape in Keras,
and the Keras axis that stands at each ONNX axis; then, where there are any, the groups and the gates of its
`AxisOrder`. Weights go to and from Keras' files by it."""
SHARED_MASK_KEY = "onnxgrid.shared_mask"
"""Metadata of a Dropout node: a JSON list of the axes whose entries training drops together."""

CONSTANT_POSITIONS = {
    "Clip": (1, 2),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Equal": (0, 1),
    "Greater": (0, 1),
    "GreaterOrEqual": (0, 1),
    "Less": (0, 1),
    "LessOrEqual": (0, 1),
    "OneHot": (1, 2),
    "Pad": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "Where": (0, 1, 2),
}
"""Op type -> positions of those inputs that steer it and may be floats; integers are constants everywhere."""

STATISTIC_NAMES = (".running_mean", ".running_var")
"""Ends of the names of fixed initializers that files of weights hold all the same: Keras' Normalization has them."""

STATISTIC_POSITIONS = {"BatchNormalization": (3, 4)}

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


class Role(Enum):
    """What training does with an initializer."""

    PARAMETER = "parameter"
    """The optimizer changes it."""
    STATISTIC = "statistic"
    """A running mean or variance: a trained normalization updates it, no optimizer does."""
    CONSTANT = "constant"
    """Part of the network's structure."""


@dataclass(frozen=True)
class InitializerRole:
    """The role of one initializer.

    Args:
        layer: the layer it belongs to.
        trainable: whether training may change it: false for constants and for what frozen layers hold.
    """

    kind: Role
    layer: str
    trainable: bool


def initializer_roles(model: ir.Model) -> dict[str, InitializerRole]:
    """The role of every initializer of the main graph, by name, in the graph's order."""
    return {name: _role(name, value) for name, value in model.graph.initializers.items()}


def layer_of(name: str) -> str:
    """The layer in `<layer>.<parameter>`; a name without a dot is its own layer."""
    return name.rpartition(".")[0] or name


def kind_of_name(name: str) -> Role:
    """What a weight is by its name alone, as in a file that holds weights without a graph."""
    return Role.STATISTIC if name.endswith(STATISTIC_NAMES) else Role.PARAMETER


def _role(name: str, value: ir.Value) -> InitializerRole:
    kinds: set[Role] = set()
    layer, fixed, frozen = "", False, False
    for node, position in value.uses():
        said = node.metadata_props
        layer = layer or said.get(LAYER_KEY, "")
        fixed = fixed or (FIXED_KEY in said and name in json.loads(said[FIXED_KEY]))
        frozen = frozen or said.get(TRAINABLE_KEY) == "false"
        kinds.add(_kind_at(node, position))
    kind = _kind(name, value, kinds, fixed=fixed)
    return InitializerRole(kind, layer or layer_of(name), trainable=not (kind is Role.CONSTANT or fixed or frozen))


def _kind(name: str, value: ir.Value, kinds: Set[Role], *, fixed: bool) -> Role:
    described = value if value.const_value is None else value.const_value
    shape = described.shape
    if described.dtype not in FLOATS or (shape is not None and len(shape) == 0):  # a number in a formula has no axis
        return Role.CONSTANT
    if fixed:
        return Role.STATISTIC if name.endswith(STATISTIC_NAMES) else Role.CONSTANT
    if Role.PARAMETER in kinds or not kinds:
        return Role.PARAMETER
    return Role.STATISTIC if Role.STATISTIC in kinds else Role.CONSTANT


def _kind_at(node: ir.Node, position: int) -> Role:
    if node.domain == "" and position in CONSTANT_POSITIONS.get(node.op_type, ()):
        return Role.CONSTANT
    if node.domain == "" and position in STATISTIC_POSITIONS.get(node.op_type, ()):
        return Role.STATISTIC
    return Role.PARAMETER
