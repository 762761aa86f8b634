"""Cells of recurrent layers, and what one of them makes of a sequence: one node of ONNX' LSTM, GRU or RNN."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.axes import LSTM_GATES, recurrent_bias, recurrent_kernel
from converters.initializers import (
    GLOROT_UNIFORM,
    ZEROS,
    Initializer,
    Orthogonal,
    UnitForgetBias,
    read_initializer,
)
from converters.keys import Keys
from converters.layers.activation import ACTIVATIONS, Activation, keras_2_hard_sigmoid, read_activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Tensor

__all__ = ["GRU", "KINDS", "LSTM", "SIMPLE_RNN", "CellConfig", "CellKind", "CellOutputs", "GateFunction", "run_cell"]


@dataclass(frozen=True)
class GateFunction:
    """A function that ONNX' recurrent operators apply: its name there, and its parameters where it has them."""

    name: str
    alpha: float | None = None
    beta: float | None = None


GATE_FUNCTIONS: dict[Activation, GateFunction] = {
    ACTIVATIONS["elu"]: GateFunction("Elu", 1.0),
    ACTIVATIONS["hard_sigmoid"]: GateFunction("HardSigmoid", 1 / 6, 0.5),
    keras_2_hard_sigmoid: GateFunction("HardSigmoid", 0.2, 0.5),
    ACTIVATIONS["leaky_relu"]: GateFunction("LeakyRelu", 0.2),
    ACTIVATIONS["linear"]: GateFunction("Affine", 1.0, 0.0),
    ACTIVATIONS["relu"]: GateFunction("Relu"),
    ACTIVATIONS["sigmoid"]: GateFunction("Sigmoid"),
    ACTIVATIONS["softplus"]: GateFunction("Softplus"),
    ACTIVATIONS["softsign"]: GateFunction("Softsign"),
    ACTIVATIONS["sparse_sigmoid"]: GateFunction("HardSigmoid", 0.5, 0.5),
    ACTIVATIONS["tanh"]: GateFunction("Tanh"),
}
"""Activation -> what computes it within a recurrent operator."""

KNOWN_FUNCTIONS = sorted(name for name, function in ACTIVATIONS.items() if function in GATE_FUNCTIONS)


@dataclass(frozen=True)
class CellKind:
    """A class of cells.

    Args:
        gates: how many it has; their kernels and biases stand side by side.
        gate_order: Keras' number of the gate that stands at each place in ONNX; empty if the two have one order.
        states: how many tensors it hands on from step to step.
    """

    op_type: str
    gates: int
    gate_order: tuple[int, ...]
    states: int


LSTM = CellKind("LSTM", 4, LSTM_GATES, 2)
GRU = CellKind("GRU", 3, (), 1)
SIMPLE_RNN = CellKind("RNN", 1, (), 1)

KINDS = {"LSTMCell": LSTM, "GRUCell": GRU, "SimpleRNNCell": SIMPLE_RNN}

DEFAULT_FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""Operator -> the functions that it applies if nothing is said."""


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """Keras `LSTMCell`, `GRUCell`, `SimpleRNNCell`, checked; layers of one cell have its keys among their own.

    Args:
        functions: those of the operator, in its order: of the gates, then of what is written and of what is given.
        reset_after: of a GRU, whether the reset gate acts behind the product with the recurrent kernel.
    """

    kind: CellKind
    units: int
    functions: tuple[GateFunction, ...]
    use_bias: bool
    reset_after: bool
    kernel_initializer: Initializer
    recurrent_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys, kind: CellKind) -> "CellConfig":
        activation = _function(keys, "activation", "tanh")
        functions = [activation] * kind.states
        if kind.gates > 1:
            functions.insert(0, _function(keys, "recurrent_activation", "sigmoid"))
        for key in ("dropout", "recurrent_dropout"):
            if keys.number(key, default=0.0, minimum=0.0, maximum=1.0):
                keys.notice(key, "has no effect: it drops units in training only, and recurrent layers are not trained")
        keys.raw("implementation")  # chooses how the same numbers are computed
        bias_initializer = read_initializer(keys, "bias_initializer", ZEROS)
        if kind is LSTM and keys.flag("unit_forget_bias", default=True):
            bias_initializer = UnitForgetBias(bias_initializer)
        return cls(
            kind=kind,
            units=keys.integer("units"),
            functions=tuple(functions),
            use_bias=keys.flag("use_bias", default=True),
            reset_after=kind is GRU and keys.flag("reset_after", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            recurrent_initializer=read_initializer(keys, "recurrent_initializer", Orthogonal(1.0)),
            bias_initializer=bias_initializer,
        )


def _function(keys: Keys, key: str, default: str) -> GateFunction:
    activation = ACTIVATIONS["linear" if keys.is_null(key) else default]
    activation = read_activation(keys, key, default=activation)
    if activation not in GATE_FUNCTIONS:
        raise keys.error(
            key,
            "is an activation that ONNX' recurrent operators do not have",
            f"Use one of: {', '.join(KNOWN_FUNCTIONS)}.",
        )
    return GATE_FUNCTIONS[activation]


@dataclass(frozen=True)
class CellOutputs:
    """What a cell makes of a sequence: its output at every step (T, N, units), and its last states (N, units) each.

    The first state is the output after the last step that was carried out.
    """

    sequence: ir.Value
    states: tuple[ir.Value, ...]


def run_cell(
    cell: CellConfig,
    steps: ir.Value,
    states: Sequence[Tensor],
    layer: LayerBuilder,
    *,
    reverse: bool = False,
    lengths: ir.Value | None = None,
) -> CellOutputs:
    """What a cell makes of the steps (T, N, in).

    Declares weight_ih (1, gates * units, in), weight_hh (1, gates * units, units) and, with use_bias, bias (1, gates *
    units) or, of a GRU that resets after the product, (1, 2 * gates * units).

    Args:
        states: the first states; zeros if there are none.
        reverse: whether the last step comes first; outputs stand where their steps do.
        lengths: (N,) of int32: how many steps each sample has; all, if None.

    Raises:
        ConversionError: if the number of features is unknown.
    """
    kind, width = cell.kind, cell.kind.gates * cell.units
    assert steps.shape is not None
    features = steps.shape[2]
    if not isinstance(features, int):
        raise layer.error(
            "the number of features at each step is unknown, and its parameters depend on it",
            "Write it in the shape of the input layer.",
        )
    order = recurrent_kernel(kind.gate_order)
    operands = [
        steps,
        layer.parameter("weight_ih", (features, width), order, cell.kernel_initializer),
        layer.parameter("weight_hh", (cell.units, width), order, cell.recurrent_initializer),
        _bias(cell, width, layer),
        lengths,
        *(_unsqueezed(state.value, layer) for state in states),
    ]
    while operands[-1] is None:
        operands.pop()
    y, *last = layer.op_outputs(kind.op_type, operands, 1 + kind.states, **_attributes(cell, reverse=reverse))
    return CellOutputs(_squeezed(y, 1, layer), tuple(_squeezed(state, 0, layer) for state in last))


def _bias(cell: CellConfig, width: int, layer: LayerBuilder) -> ir.Value | None:
    """Both biases of the operator, side by side; Keras has the second only where it cannot be added to the first."""
    if not cell.use_bias:
        return None
    if cell.reset_after:
        return layer.parameter("bias", (2, width), recurrent_bias(2), cell.bias_initializer)
    bias = layer.parameter("bias", (width,), recurrent_bias(1, cell.kind.gate_order), cell.bias_initializer)
    nothing = layer.constant("recurrent_bias", np.zeros((1, width), np.float32))
    return layer.op("Concat", [bias, nothing], axis=1)


def _attributes(cell: CellConfig, *, reverse: bool) -> dict[str, int | str | list[str] | list[float]]:
    attributes: dict[str, int | str | list[str] | list[float]] = {"hidden_size": cell.units}
    if reverse:
        attributes["direction"] = "reverse"
    if cell.reset_after:
        attributes["linear_before_reset"] = 1
    names = tuple(function.name for function in cell.functions)
    if names != DEFAULT_FUNCTIONS[cell.kind.op_type]:
        attributes["activations"] = list(names)
        for parameter in ("alpha", "beta"):
            values = [getattr(function, parameter) for function in cell.functions]
            if any(value is not None for value in values):
                attributes[f"activation_{parameter}"] = [value for value in values if value is not None]
    return attributes


def _unsqueezed(value: ir.Value, layer: LayerBuilder) -> ir.Value:
    return layer.op("Unsqueeze", [value, layer.constant("direction", np.array([0], np.int64))])


def _squeezed(value: ir.Value, axis: int, layer: LayerBuilder) -> ir.Value:
    return layer.op("Squeeze", [value, layer.constant("direction", np.array([axis], np.int64))])
