"""Activations that are called as functions."""

from collections.abc import Callable
from functools import partial

import numpy as np

from converters.layers.activation import ACTIVATIONS, Activation, gelu, gelu_by_tanh
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.softmax import log_softmax_over, softmax_over
from converters.layers.tensor import Tensor

__all__ = ["crelu", "gelu_function", "glu", "silu", "squareplus", "threshold"]

FUNCTIONS = {
    "hard_sigmoid": ("keras.ops.HardSigmoid",),
    "hard_silu": ("keras.ops.HardSilu",),
    "hard_tanh": ("keras.ops.HardTanh",),
    "log_sigmoid": ("keras.ops.LogSigmoid", "tf.math.log_sigmoid"),
    "relu": ("keras.ops.Relu", "tf.nn.relu"),
    "relu6": ("keras.ops.Relu6", "tf.nn.relu6"),
    "selu": ("keras.ops.Selu", "tf.nn.selu"),
    "sigmoid": ("keras.ops.Sigmoid", "tf.math.sigmoid", "tf.nn.sigmoid"),
    "softplus": ("keras.ops.Softplus", "tf.math.softplus", "tf.nn.softplus"),
    "softsign": ("keras.ops.Softsign", "tf.nn.softsign"),
    "sparse_plus": ("keras.ops.SparsePlus",),
    "sparse_sigmoid": ("keras.ops.SparseSigmoid",),
    "tanh": ("keras.ops.Tanh", "tf.math.tanh", "tf.nn.tanh"),
    "tanh_shrink": ("keras.ops.TanhShrink",),
}
"""Name of an activation -> operations that are it."""


def _activation(name: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The activation of x."""
    function: Activation = ACTIVATIONS[name]
    return function(arguments.tensor("x"), layer)


for _name, _names in FUNCTIONS.items():
    operation(*_names, parameters="x|features", needs_batch=False)(partial(_activation, _name))

WITH_A_NUMBER: dict[str, tuple[str, str, float, tuple[str, ...]]] = {
    "Celu": ("alpha", "alpha", 1.0, ("keras.ops.Celu",)),
    "Elu": ("alpha", "alpha", 1.0, ("keras.ops.Elu", "tf.nn.elu")),
    "LeakyRelu": ("alpha", "negative_slope", 0.2, ("keras.ops.LeakyRelu", "tf.nn.leaky_relu")),
}
"""ONNX operator -> its attribute, the argument that it is, the argument's default, and operations."""


def _with_a_number(
    op_type: str, attribute: str, name: str, default: float, arguments: Arguments, layer: LayerBuilder
) -> Tensor:
    x = arguments.tensor("x")
    return Tensor(layer.op(op_type, [x.value], **{attribute: arguments.number(name, default)}), x.layout)


for _op_type, (_attribute, _name, _default, _names) in WITH_A_NUMBER.items():
    operation(
        *_names,
        parameters="x|features negative_slope|alpha" if _name != "alpha" else "x|features alpha",
        needs_batch=False,
    )(partial(_with_a_number, _op_type, _attribute, _name, _default))


def _shrunk(moved: bool, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, or 0 within a threshold of 0; moved towards 0 by the threshold if that is asked for."""
    x, limit = arguments.tensor("x"), arguments.number("threshold", 0.5)
    return Tensor(layer.op("Shrink", [x.value], lambd=limit, bias=limit if moved else 0.0), x.layout)


operation("keras.ops.SoftShrink", parameters="x threshold", needs_batch=False)(partial(_shrunk, True))
operation("keras.ops.HardShrink", parameters="x threshold", needs_batch=False)(partial(_shrunk, False))


@operation("keras.ops.Silu", "tf.nn.silu", "tf.nn.swish", parameters="x|features beta", needs_batch=False)
def silu(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x * sigmoid(beta * x)."""
    x, beta = arguments.tensor("x"), arguments.number("beta", 1.0)
    if beta == 1.0:
        return ACTIVATIONS["silu"](x, layer)
    inner = layer.op("Mul", [x.value, layer.scalar("beta", beta)])
    return Tensor(layer.op("Mul", [x.value, layer.op("Sigmoid", [inner])]), x.layout)


@operation("keras.ops.Gelu", "tf.nn.gelu", parameters="x|features approximate", needs_batch=False)
def gelu_function(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x times the normal distribution's mass below x, or the approximation of that by tanh, which is Keras' default."""
    approximate = arguments.flag("approximate", default=not arguments.of_tensorflow)
    return (gelu_by_tanh if approximate else gelu)(arguments.tensor("x"), layer)


@operation("keras.ops.Squareplus", parameters="x b", needs_batch=False)
def squareplus(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """(x + sqrt(x * x + b)) / 2."""
    x = arguments.tensor("x")
    square = layer.op("Mul", [x.value, x.value])
    root = layer.op("Sqrt", [layer.op("Add", [square, layer.scalar("b", arguments.number("b", 4.0))])])
    return Tensor(layer.op("Mul", [layer.op("Add", [x.value, root]), layer.scalar("half", 0.5)]), x.layout)


@operation("keras.ops.Threshold", parameters="x threshold default_value|value", needs_batch=False)
def threshold(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x where it is above the threshold, else another number."""
    x = arguments.tensor("x")
    above = layer.op("Greater", [x.value, layer.scalar("threshold", arguments.number("threshold"))])
    other = layer.scalar("value", arguments.number("default_value"))
    return Tensor(layer.op("Where", [above, x.value, other]), x.layout)


@operation("keras.ops.Glu", parameters="x axis", needs_batch=False)
def glu(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The first half of an axis times the sigmoid of the second.

    Raises ConversionError if the size of the axis is unknown or odd.
    """
    x = arguments.tensor("x")
    axis = x.stored_axis(arguments.axis("axis", x, -1))
    size = layer.known_size(x, axis)
    if size % 2:
        raise layer.error(f"halves an axis of size {size}", "Make it even.")
    halves = layer.constant("halves", np.array([size // 2] * 2, np.int64))
    values, gates = layer.op_outputs("Split", [x.value, halves], 2, axis=axis)
    return Tensor(layer.op("Mul", [values, layer.op("Sigmoid", [gates])]), x.layout)


@operation("tf.nn.crelu", "tf.compat.v1.nn.crelu", parameters="x|features axis", needs_batch=False)
def crelu(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The positive part of x, then that of -x, along one axis."""
    x = arguments.tensor("x")
    axis = arguments.axis("axis", x, -1)
    both = layer.op("Concat", [x.value, layer.op("Neg", [x.value])], axis=x.stored_axis(axis))
    return Tensor(layer.op("Relu", [both]), x.layout)


Over = Callable[[Tensor, tuple[int, ...], LayerBuilder], Tensor]


def _over_axes(function: Over, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The function over one axis or several."""
    x = arguments.tensor("x")
    return function(x, arguments.axes("axis", x, (-1,), null_is_default=arguments.of_tensorflow), layer)


for _function, _keras, _tensorflow in (
    (softmax_over, "Softmax", "nn.softmax"),
    (log_softmax_over, "LogSoftmax", "nn.log_softmax"),
):
    operation(
        f"keras.ops.{_keras}",
        f"tf.{_tensorflow}",
        f"tf.compat.v1.{_tensorflow}",
        parameters="x|logits axis|dim",
        needs_batch=False,
    )(partial(_over_axes, _function))
