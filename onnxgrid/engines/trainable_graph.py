"""An ONNX graph seen as something to train: one input, one output, and initializers sorted by what training does with
them.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.roles import Role, initializer_roles
from onnxgrid.errors import ConfigError

__all__ = ["TrainableGraph"]

OPSETS = range(15, 22)
"""Those in which every op of `torch_ops` means the same."""


@dataclass(frozen=True)
class TrainableGraph:
    """A network for an engine. `model` is never changed: engines work on clones. Initializers in neither group are
    constants.

    Every node of `model` has a name of its own: gradient rules and dropout masks go by it.
    """

    model: ir.Model
    parameters: Mapping[str, np.ndarray]
    """What the optimizer changes: float32 initial values by initializer name, in graph order."""
    statistics: Mapping[str, np.ndarray]
    """Running means and variances of the normalizations that are trained; those of frozen layers stay constants, as in
    Keras.
    """
    place: str
    """The model's file, for errors."""

    @property
    def input_name(self) -> str:
        return str(self.model.graph.inputs[0].name)

    @property
    def output_name(self) -> str:
        return str(self.model.graph.outputs[0].name)

    @classmethod
    def from_model(cls, model: ir.Model, place: str) -> "TrainableGraph":
        """The graph of a model that the converter or another tool wrote.

        Args:
            place: the model's file, for errors.

        Raises:
            ConfigError: if it has not exactly one input and one output, an opset that we do not know, weights that are
                not float32 or are two things at once, or nothing to train.
        """
        inputs, outputs = [v.name for v in model.graph.inputs], [v.name for v in model.graph.outputs]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConfigError(
                f"the network has inputs {inputs} and outputs {outputs}; training takes one of each",
                place=place,
                fix="Train a network with a single input and a single output.",
            )
        _require_opset(model, place)
        _require_own_statistics(model, place)
        model = _with_named_nodes(model)
        used = _upstream_of(model.graph.outputs[0])
        parameters: dict[str, np.ndarray] = {}
        statistics: dict[str, np.ndarray] = {}
        for name, role in initializer_roles(model).items():
            value = model.graph.initializers[name]
            tensor = value.const_value
            if tensor is None or role.kind is Role.CONSTANT or not role.trainable or value not in used:
                continue
            if tensor.dtype is not ir.DataType.FLOAT:
                raise ConfigError(
                    f"initializer '{name}' is {tensor.dtype.name}; training needs float32",
                    place=place,
                    fix="Convert the model's weights to float32.",
                )
            group = statistics if role.kind is Role.STATISTIC else parameters
            group[name] = tensor.numpy()
        if not parameters:
            raise ConfigError(
                "the network has no trainable parameter",
                place=place,
                fix='Set "trainable": true on at least one layer that has weights.',
            )
        return cls(model, parameters, statistics, place)


def _with_named_nodes(model: ir.Model) -> ir.Model:
    """A copy in which a node without a name, or with another node's, is called after its first output."""
    copy = model.clone()
    names = {node.name for node in copy.graph}
    seen: set[str | None] = {"", None}
    for node in copy.graph:
        if node.name in seen:
            base = str(node.outputs[0].name)
            node.name = next(name for name in _candidates(base) if name not in names)
            names.add(node.name)
        seen.add(node.name)
    return copy


def _candidates(base: str) -> Iterator[str]:
    yield base
    for number in itertools.count(1):
        yield f"{base}_{number}"


def _require_opset(model: ir.Model, place: str) -> None:
    opset = model.graph.opset_imports.get("", 0)
    if opset not in OPSETS:
        raise ConfigError(
            f"the model has opset {opset}; training knows the operators of opsets {OPSETS.start} to {OPSETS.stop - 1}",
            place=place,
            fix="Export the model with opset 17.",
        )


def _require_own_statistics(model: ir.Model, place: str) -> None:
    for name, value in model.graph.initializers.items():
        uses = {node.op_type == "BatchNormalization" and position in (3, 4) for node, position in value.uses()}
        if len(uses) > 1:
            raise ConfigError(
                f"initializer '{name}' is a running statistic and something else as well",
                place=place,
                fix="Export the model without merging initializers that are equal.",
            )


def _upstream_of(output: ir.Value) -> set[ir.Value]:
    """The values that the output is computed from, directly or not."""
    found, open_values = {output}, [output]
    while open_values:
        producer = open_values.pop().producer()
        if producer is not None:
            new = {value for value in producer.inputs if value is not None} - found
            found |= new
            open_values.extend(new)
    return found
