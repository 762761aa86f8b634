"""Activations: layers that are one, and those fused into other layers by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationConfig",
    "ReLUConfig",
    "SoftmaxConfig",
    "activation_layer",
    "log_softmax_layer",
    "read_activation",
    "relu_layer",
    "sigmoid_layer",
    "softmax_layer",
    "tanh_layer",
]

Activation = Callable[[Tensor, LayerBuilder], Tensor]


def linear(x: Tensor, layer: LayerBuilder) -> Tensor:
    """x itself, without a node."""
    return x


def relu(x: Tensor, layer: LayerBuilder) -> Tensor:
    """max(x, 0)."""
    return _elementwise("Relu", x, layer)


def relu6(x: Tensor, layer: LayerBuilder) -> Tensor:
    """min(max(x, 0), 6)."""
    return Tensor(_clip(x, 6.0, layer), x.layout)


def sigmoid(x: Tensor, layer: LayerBuilder) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _elementwise("Sigmoid", x, layer)


def tanh(x: Tensor, layer: LayerBuilder) -> Tensor:
    """tanh(x)."""
    return _elementwise("Tanh", x, layer)


def softmax(x: Tensor, layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over the channels."""
    return Tensor(layer.op("Softmax", [x.value], axis=x.stored_axis(x.rank - 1)), x.layout)


def log_softmax(x: Tensor, layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax, computed without its underflow."""
    return Tensor(layer.op("LogSoftmax", [x.value], axis=x.stored_axis(x.rank - 1)), x.layout)


ACTIVATIONS: dict[str, Activation] = {
    "linear": linear,
    "log_softmax": log_softmax,
    "relu": relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
}
"""Keras' name -> function."""

ALIASES = {"log_softmax_v2": "log_softmax", "softmax_v2": "softmax"}
"""TensorFlow's names, which Keras 2 writes for functions that were given as such."""

_BY_NORMAL_NAME = {name.replace("_", ""): ACTIVATIONS[ALIASES.get(name, name)] for name in (*ACTIVATIONS, *ALIASES)}
"""Case and underscores do not matter: LogSoftmax and Log_Softmax occur."""


def read_activation(keys: Keys, key: str = "activation") -> Activation:
    """The activation at a key: a name, or `{"class_name": "function", "config": name}`; linear if absent or null.

    Raises:
        ConversionError: if it is one that we do not know.
    """
    value = keys.raw(key)
    if value is None:
        return linear
    name = value
    if isinstance(value, dict):
        name = value.get("config" if value.get("class_name") == "function" else "class_name")
    found = _BY_NORMAL_NAME.get(name.replace("_", "").lower()) if isinstance(name, str) else None
    if found is None:
        raise keys.unknown(key, name, list(ACTIVATIONS))
    if isinstance(value, dict) and value.get("class_name") != "function":
        raise keys.error(
            key, f'is a layer of class "{name}"', "Write the activation's name, or make it a layer of its own."
        )
    return found


def _elementwise(op_type: str, x: Tensor, layer: LayerBuilder) -> Tensor:
    return Tensor(layer.op(op_type, [x.value]), x.layout)


def _clip(x: Tensor, maximum: float, layer: LayerBuilder) -> ir.Value:
    bounds = [layer.constant("min", np.array(0, np.float32)), layer.constant("max", np.array(maximum, np.float32))]
    return layer.op("Clip", [x.value, *bounds])


@dataclass(frozen=True)
class ActivationConfig:
    """Keras `Activation`, checked."""

    activation: Activation

    @classmethod
    def read(cls, keys: Keys) -> "ActivationConfig":
        _require_channel_axis(keys)
        return cls(read_activation(keys))


@converts("Activation", config=ActivationConfig.read)
def activation_layer(config: ActivationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Apply the named activation to x, of any shape and layout."""
    (x,) = inputs
    return config.activation(x, layer)


@dataclass(frozen=True, kw_only=True)
class ReLUConfig:
    """Keras `ReLU`, checked: nothing is negative, `max_value` None stands for no limit."""

    max_value: float | None
    negative_slope: float
    threshold: float

    @classmethod
    def read(cls, keys: Keys) -> "ReLUConfig":
        return cls(
            max_value=keys.optional_number("max_value", minimum=0.0),
            negative_slope=keys.optional_number("negative_slope", minimum=0.0) or 0.0,
            threshold=keys.optional_number("threshold", minimum=0.0) or 0.0,
        )


@converts("ReLU", config=ReLUConfig.read)
def relu_layer(config: ReLUConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x above the threshold but at most max_value, else negative_slope * (x - threshold).

    At the threshold itself it gives 0, as Keras does, not x, as its page says.
    Source: keras/src/activations/activations.py, `ReLU.static_call`.
    """
    (x,) = inputs
    if config.threshold == 0 and config.max_value is None:
        if config.negative_slope == 0:
            return relu(x, layer)
        return Tensor(layer.op("LeakyRelu", [x.value], alpha=config.negative_slope), x.layout)
    y = _above(x, config, layer)
    if config.negative_slope:
        y = layer.op("Sub", [y, _below(x, config, layer)])
    return Tensor(y, x.layout)


def _above(x: Tensor, config: ReLUConfig, layer: LayerBuilder) -> ir.Value:
    """x where it is above the threshold, else 0; then at most max_value."""
    if config.threshold != 0:
        above = layer.op("Greater", [x.value, layer.constant("threshold", np.array(config.threshold, np.float32))])
        x = Tensor(layer.op("Where", [above, x.value, layer.constant("zero", np.array(0, np.float32))]), x.layout)
    return x.value if config.max_value is None else _clip(x, config.max_value, layer)


def _below(x: Tensor, config: ReLUConfig, layer: LayerBuilder) -> ir.Value:
    """negative_slope * max(threshold - x, 0)."""
    distance = layer.op("Sub", [layer.constant("origin", np.array(config.threshold, np.float32)), x.value])
    slope = layer.constant("slope", np.array(config.negative_slope, np.float32))
    return layer.op("Mul", [layer.op("Relu", [distance]), slope])


@dataclass(frozen=True)
class SoftmaxConfig:
    """Keras `Softmax`, checked: the axis in Keras' order, negative from the end."""

    axis: int

    @classmethod
    def read(cls, keys: Keys) -> "SoftmaxConfig":
        return cls(keys.axis("axis", default=-1))


@converts("Softmax", config=SoftmaxConfig.read)
def softmax_layer(config: SoftmaxConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over one axis.

    Raises:
        ConversionError: if x has no such axis.
    """
    (x,) = inputs
    axis = layer.keras_axis(x, config.axis)
    return Tensor(layer.op("Softmax", [x.value], axis=x.stored_axis(axis)), x.layout)


@dataclass(frozen=True)
class PlainConfig:
    """A layer without options but, where channels are meant, `axis`."""

    @classmethod
    def read(cls, keys: Keys) -> "PlainConfig":
        return cls()

    @classmethod
    def read_channel_axis(cls, keys: Keys) -> "PlainConfig":
        _require_channel_axis(keys)
        return cls()


def _require_channel_axis(keys: Keys) -> None:
    """`axis` is no Keras key here: where it occurs it counts channels first, so that 1 means the channels."""
    if keys.has("axis") and keys.axis("axis", default=1) not in (1, -1):
        raise keys.error(
            "axis", f"is {keys.raw('axis')}: only the channels, 1 or -1, can be normalised over", "Write 1."
        )


@converts("Sigmoid", config=PlainConfig.read)
def sigmoid_layer(config: PlainConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """1 / (1 + exp(-x)). Not a class of Keras, but of the reference program."""
    return sigmoid(inputs[0], layer)


@converts("Tanh", config=PlainConfig.read)
def tanh_layer(config: PlainConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """tanh(x). Not a class of Keras, but of the reference program."""
    return tanh(inputs[0], layer)


@converts("Log_Softmax", "LogSoftmax", config=PlainConfig.read_channel_axis)
def log_softmax_layer(config: PlainConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax over the channels. Not a class of Keras, but of the reference program."""
    return log_softmax(inputs[0], layer)
