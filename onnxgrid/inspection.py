"""What is in a model or weight file: layers, their tensors, shapes and counts. Reads no tensor's values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converters.model_suffix import is_model_file
from converters.port_layout import PortLayout, stated_layout
from converters.roles import (
    CLASS_NAME_KEY,
    LAYER_KEY,
    NETWORK_KEY,
    ORDER_KEY,
    InitializerRole,
    Role,
    initializer_roles,
    kind_of_name,
    layer_of,
)
from converters.weights import Weight, read_weights, without_counters
from converters.weights.onnx import initializer_tensor
from converters.weights.onnx_file import OnnxFile

__all__ = ["LayerSummary", "ModelSummary", "PortSummary", "TensorSummary", "inspect_model", "summarize_model"]

Shape = tuple[int | str | None, ...]
"""Sizes; a name where the size is symbolic, None where it is not known."""

ACTIVATION_CLASSES = frozenset({"Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"})
"""Keras layers that are an activation, and so have none fused into them."""

ATTENTION_CLASSES = frozenset(
    {"AdditiveAttention", "Attention", "GroupQueryAttention", "GroupedQueryAttention", "MultiHeadAttention"}
)
"""Keras layers whose own formula holds a softmax."""

ACTIVATION_OPERATORS = frozenset(
    {
        "Elu",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "LogSoftmax",
        "Mish",
        "PRelu",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Softsign",
        "Tanh",
    }
)

FLOAT_NAMES = {ir.DataType.FLOAT: "float32", ir.DataType.DOUBLE: "float64"}
"""Types that ONNX calls otherwise than NumPy; weight files say them in NumPy's words."""


@dataclass(frozen=True)
class PortSummary:
    """An input or output of the graph; its layout is None where the model does not say it, as foreign ones do not."""

    name: str
    dtype: str | None
    shape: Shape | None
    layout: PortLayout | None = None


@dataclass(frozen=True)
class TensorSummary:
    """A tensor of a layer; `kind` is "parameter", "statistic" or "constant"."""

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class LayerSummary:
    """A layer, or in a foreign graph a node.

    Args:
        class_name: the Keras class; "" in a foreign graph or a weight file.
        operators: the ONNX operators of its nodes, in order; none in a weight file.
        output_shape: None where the file does not say.
        trainable: false if the layer is frozen; None in a weight file, which does not say.
    """

    name: str
    class_name: str
    operators: tuple[str, ...]
    output_shape: Shape | None
    tensors: tuple[TensorSummary, ...]
    trainable: bool | None

    def count(self, kind: Role) -> int:
        """How many values of this kind the layer holds."""
        return sum(tensor.size for tensor in self.tensors if tensor.kind == kind.value)

    @property
    def parameters(self) -> int:
        return self.count(Role.PARAMETER)


@dataclass(frozen=True)
class ModelSummary:
    """A model or weight file; of the latter, what only a graph can say is None.

    Args:
        operations: layers, an input counting as one, and one more for each activation fused into a layer; in a foreign
            graph the nodes.
    """

    file: str
    name: str | None
    opset: int | None
    ir_version: int | None
    inputs: tuple[PortSummary, ...]
    outputs: tuple[PortSummary, ...]
    layers: tuple[LayerSummary, ...]
    operations: int | None

    @property
    def total_parameters(self) -> int:
        """Values that training may change; statistics and constants are not counted."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable_parameters(self) -> int | None:
        """Those of layers that are not frozen; None if the file does not say which are."""
        if any(layer.trainable is None for layer in self.layers):
            return None
        return sum(layer.parameters for layer in self.layers if layer.trainable)

    @property
    def statistics(self) -> int:
        """Values that BatchNormalization collects."""
        return sum(layer.count(Role.STATISTIC) for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, constants among them."""
        return sum(tensor.bytes for layer in self.layers for tensor in layer.tensors)

    def to_json(self) -> dict[str, Any]:
        """All of it, totals included, in strings, numbers, lists, dicts and None only."""
        summary = asdict(self)
        for written, layer in zip(summary["layers"], self.layers, strict=True):
            written["parameters"] = layer.parameters
        for port in (*summary["inputs"], *summary["outputs"]):
            port["layout"] = None if port["layout"] is None else port["layout"].value
        summary["totals"] = {
            "parameters": self.total_parameters,
            "trainable_parameters": self.trainable_parameters,
            "statistics": self.statistics,
            "operations": summary.pop("operations"),
            "bytes": self.bytes,
        }
        return summary


def inspect_model(path: Path | str) -> ModelSummary:
    """The summary of an ONNX model, or of any other file whose weights can be read.

    Shapes between the layers are those the file holds: nothing is inferred.

    Raises:
        WeightFileError: if the file cannot be read.
        ConversionError: if the model says a layout that is none.
    """
    path = Path(path)
    if is_model_file(path):
        return summarize_model(OnnxFile.open(path).model, str(path))
    layers: dict[str, list[TensorSummary]] = {}
    for weight in without_counters(read_weights(path)).values():
        layers.setdefault(layer_of(weight.name), []).append(_tensor_of_weight(weight))
    return ModelSummary(
        file=str(path),
        name=None,
        opset=None,
        ir_version=None,
        inputs=(),
        outputs=(),
        layers=tuple(LayerSummary(name, "", (), None, tuple(tensors), None) for name, tensors in layers.items()),
        operations=None,
    )


def _tensor_of_weight(weight: Weight) -> TensorSummary:
    kind = kind_of_name(weight.name)
    size = math.prod(weight.shape) * weight.dtype.itemsize
    return TensorSummary(weight.name, kind.value, str(weight.dtype), weight.shape, size)


def summarize_model(model: ir.Model, file: str) -> ModelSummary:
    """The summary of a model that is open already; `file` is what it is called."""
    roles = initializer_roles(model)
    nodes: dict[str, list[ir.Node]] = {}
    owners: dict[str, str] = {}
    for index, node in enumerate(model.graph):
        layer = node.metadata_props.get(LAYER_KEY) or node.name or f"{node.op_type}_{index}"
        nodes.setdefault(layer, []).append(node)
        for value in node.inputs:
            if value is not None and value.name in roles:
                owners.setdefault(value.name, layer)
    tensors: dict[str, list[TensorSummary]] = {layer: [] for layer in nodes}
    for name, role in roles.items():
        tensors.setdefault(owners.get(name, role.layer), []).append(_tensor_of_initializer(model, name, role))
    frozen = {
        owners.get(name, role.layer)
        for name, role in roles.items()
        if role.kind is Role.PARAMETER and not role.trainable
    }
    return ModelSummary(
        file=file,
        name=model.metadata_props.get(NETWORK_KEY) or model.graph.name,
        opset=model.graph.opset_imports.get(""),
        ir_version=model.ir_version,
        inputs=_ports(value for value in model.graph.inputs if value.name not in roles),
        outputs=_ports(model.graph.outputs),
        layers=tuple(_layer(name, nodes.get(name, []), held, name not in frozen) for name, held in tensors.items()),
        operations=_operations(model, nodes),
    )


def _layer(name: str, nodes: list[ir.Node], tensors: list[TensorSummary], trainable: bool) -> LayerSummary:
    return LayerSummary(
        name=name,
        class_name=nodes[0].metadata_props.get(CLASS_NAME_KEY, "") if nodes else "",
        operators=tuple(node.op_type for node in nodes),
        output_shape=_shape(nodes[-1].outputs[0].shape) if nodes and nodes[-1].outputs else None,
        tensors=tuple(tensors),
        trainable=trainable,
    )


def _operations(model: ir.Model, layers: Mapping[str, list[ir.Node]]) -> int:
    orders = {int(order) for node in model.graph if (order := node.metadata_props.get(ORDER_KEY, "")).isdecimal()}
    if not orders:
        return sum(len(nodes) for nodes in layers.values())
    # Layers without a node (InputLayer, a linear Activation) show as gaps in the source order.
    listed = max(orders) + 1
    implicit_inputs = max(0, len(model.graph.inputs) - (listed - len(orders)))
    return listed + implicit_inputs + sum(_has_fused_activation(nodes) for nodes in layers.values())


def _has_fused_activation(nodes: Iterable[ir.Node]) -> bool:
    return any(
        node.op_type in ACTIVATION_OPERATORS
        and node.metadata_props.get(CLASS_NAME_KEY) not in ACTIVATION_CLASSES | ATTENTION_CLASSES
        for node in nodes
    )


def _tensor_of_initializer(model: ir.Model, name: str, role: InitializerRole) -> TensorSummary:
    tensor = initializer_tensor(model, name)
    return TensorSummary(name, role.kind.value, _dtype(tensor.dtype), tuple(tensor.shape.numpy()), tensor.nbytes)


def _ports(values: Iterable[ir.Value]) -> tuple[PortSummary, ...]:
    return tuple(
        PortSummary(
            value.name or "",
            None if value.dtype is None else _dtype(value.dtype),
            _shape(value.shape),
            stated_layout(value),
        )
        for value in values
    )


def _dtype(dtype: ir.DataType) -> str:
    return FLOAT_NAMES.get(dtype, dtype.name.lower())


def _shape(shape: ir.Shape | None) -> Shape | None:
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) else size.value for size in shape)
