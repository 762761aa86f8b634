"""An ONNX graph seen as something to train: one input, one output, and initializers sorted by what training does with
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.roles import Role, initializer_roles
from onnxgrid.errors import ConfigError

__all__ = ["TrainableGraph"]


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
            ConfigError: if it has not exactly one input and one output, has weights that are not float32, or nothing to
                train.
        """
        inputs, outputs = [v.name for v in model.graph.inputs], [v.name for v in model.graph.outputs]
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConfigError(
                f"the network has inputs {inputs} and outputs {outputs}; training takes one of each",
                place=place,
                fix="Train a network with a single input and a single output.",
            )
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
    taken: set[str | None] = {"", None}
    for node in copy.graph:
        if node.name in taken:
            node.name = node.outputs[0].name
        taken.add(node.name)
    return copy


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
