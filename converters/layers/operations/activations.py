"""Activations that are called as functions."""

from functools import partial

from converters.layers.activation import ACTIVATIONS, Activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.tensor import Tensor

__all__ = ["leaky_relu", "log_softmax", "softmax"]

FUNCTIONS = {
    "relu": ("keras.ops.Relu", "tf.nn.relu"),
    "relu6": ("keras.ops.Relu6", "tf.nn.relu6"),
    "sigmoid": ("keras.ops.Sigmoid", "tf.math.sigmoid", "tf.nn.sigmoid"),
    "tanh": ("keras.ops.Tanh", "tf.math.tanh", "tf.nn.tanh"),
    "silu": ("keras.ops.Silu", "tf.nn.silu", "tf.nn.swish"),
    "softplus": ("keras.ops.Softplus", "tf.math.softplus", "tf.nn.softplus"),
    "softsign": ("keras.ops.Softsign", "tf.math.softsign", "tf.nn.softsign"),
    "hard_silu": ("keras.ops.HardSilu",),
    "selu": ("keras.ops.Selu", "tf.nn.selu"),
}
"""Name of an activation -> operations that are it."""


def _activation(name: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The activation of x."""
    function: Activation = ACTIVATIONS[name]
    return function(arguments.tensor("x"), layer)


for _name, _names in FUNCTIONS.items():
    operation(*_names, parameters="x|features")(partial(_activation, _name))


@operation("keras.ops.LeakyRelu", "tf.nn.leaky_relu", parameters="x|features negative_slope|alpha")
def leaky_relu(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """x, or where it is negative its product with the slope."""
    x = arguments.tensor("x")
    return Tensor(layer.op("LeakyRelu", [x.value], alpha=arguments.number("negative_slope", 0.2)), x.layout)


@operation("keras.ops.Softmax", "tf.nn.softmax", parameters="x|logits axis")
def softmax(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over one axis."""
    return _over_axis("Softmax", arguments, layer)


@operation("keras.ops.LogSoftmax", "tf.nn.log_softmax", parameters="x|logits axis")
def log_softmax(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax over one axis."""
    return _over_axis("LogSoftmax", arguments, layer)


def _over_axis(op_type: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = arguments.tensor("x")
    (axis, *others) = arguments.axes("axis", x, (-1,))
    if others:
        raise layer.error('"axis" names several axes', "Name one.")
    return Tensor(layer.op(op_type, [x.value], axis=x.stored_axis(axis)), x.layout)
