"""Activations: layers that are one, and those fused into other layers by name or as an object.

Source of the formulas: keras/src/activations/activations.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converters.axes import AxisOrder
from converters.initializers import ZEROS, Initializer, read_initializer
from converters.json_text import JsonObject
from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts, find_layer
from converters.layers.softmax import softmax_over
from converters.layers.tensor import Tensor

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "FUSED_CLASSES",
    "Activation",
    "ActivationConfig",
    "AlphaConfig",
    "GELUConfig",
    "LeakyReLUConfig",
    "PReLUConfig",
    "PlainConfig",
    "ReLUConfig",
    "SoftmaxConfig",
    "ThresholdedReLUConfig",
    "activation_layer",
    "activation_name",
    "elu_layer",
    "fused_class",
    "gelu_layer",
    "leaky_relu_layer",
    "log_softmax_layer",
    "prelu_layer",
    "read_activation",
    "relu_layer",
    "sigmoid_layer",
    "silu_layer",
    "softmax_layer",
    "tanh_layer",
    "thresholded_relu_layer",
]

Activation = Callable[[Tensor, LayerBuilder], Tensor]


def _one_node(op_type: str, formula: str, **attributes: float | str) -> Activation:
    """An activation that is one ONNX op."""

    def activation(x: Tensor, layer: LayerBuilder) -> Tensor:
        return Tensor(layer.op(op_type, [x.value], **attributes), x.layout)

    activation.__doc__ = formula
    return activation


relu = _one_node("Relu", "max(x, 0).")
sigmoid = _one_node("Sigmoid", "1 / (1 + exp(-x)).")
silu = _one_node("Swish", "x * sigmoid(x).")
tanh = _one_node("Tanh", "tanh(x).")
mish = _one_node("Mish", "x * tanh(softplus(x)).")
gelu = _one_node("Gelu", "x * (1 + erf(x / sqrt(2))) / 2.")
gelu_by_tanh = _one_node("Gelu", "The approximation of gelu by a tanh.", approximate="tanh")
keras_2_hard_sigmoid = _one_node("HardSigmoid", "clip(0.2 x + 0.5, 0, 1): Keras 2's.", alpha=0.2, beta=0.5)


def linear(x: Tensor, layer: LayerBuilder) -> Tensor:
    """x itself, without a node."""
    return x


def relu6(x: Tensor, layer: LayerBuilder) -> Tensor:
    """min(max(x, 0), 6)."""
    return Tensor(_clip(x.value, 0.0, 6.0, layer), x.layout)


def hard_tanh(x: Tensor, layer: LayerBuilder) -> Tensor:
    """min(max(x, -1), 1)."""
    return Tensor(_clip(x.value, -1.0, 1.0, layer), x.layout)


def log_sigmoid(x: Tensor, layer: LayerBuilder) -> Tensor:
    """The logarithm of sigmoid, as -softplus(-x), which does not underflow."""
    return Tensor(layer.op("Neg", [layer.op("Softplus", [layer.op("Neg", [x.value])])]), x.layout)


def tanh_shrink(x: Tensor, layer: LayerBuilder) -> Tensor:
    """x - tanh(x)."""
    return Tensor(layer.op("Sub", [x.value, layer.op("Tanh", [x.value])]), x.layout)


def squareplus(x: Tensor, layer: LayerBuilder) -> Tensor:
    """(x + sqrt(x * x + 4)) / 2."""
    square = layer.op("Mul", [x.value, x.value])
    root = layer.op("Sqrt", [layer.op("Add", [square, layer.scalar("four", 4.0)])])
    return Tensor(layer.op("Mul", [layer.op("Add", [x.value, root]), layer.scalar("half", 0.5)]), x.layout)


def sparse_plus(x: Tensor, layer: LayerBuilder) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x: clip(x / 2 + 1 / 2, 0, 1)^2 + max(x - 1, 0)."""
    ramp = layer.op("HardSigmoid", [x.value], alpha=0.5, beta=0.5)
    rest = layer.op("Relu", [layer.op("Sub", [x.value, layer.scalar("one", 1.0)])])
    return Tensor(layer.op("Add", [layer.op("Mul", [ramp, ramp]), rest]), x.layout)


def glu(x: Tensor, layer: LayerBuilder) -> Tensor:
    """The first half of the channels times the sigmoid of the second.

    Raises:
        ConversionError: if the channels are unknown or cannot be halved.
    """
    axis = x.stored_axis(x.rank - 1)
    channels = layer.known_size(x, axis)
    if channels % 2:
        raise layer.error(f'"glu" halves the channels, and there are {channels}', "Make them even.")
    halves = layer.constant("halves", np.array([channels // 2] * 2, np.int64))
    values, gates = layer.op_outputs("Split", [x.value, halves], 2, axis=axis)
    return Tensor(layer.op("Mul", [values, layer.op("Sigmoid", [gates])]), x.layout)


def softmax(x: Tensor, layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over the channels."""
    return Tensor(layer.op("Softmax", [x.value], axis=x.stored_axis(x.rank - 1)), x.layout)


def log_softmax(x: Tensor, layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax, computed without its underflow."""
    return Tensor(layer.op("LogSoftmax", [x.value], axis=x.stored_axis(x.rank - 1)), x.layout)


ACTIVATIONS: dict[str, Activation] = {
    "celu": _one_node("Celu", "max(x, 0) + min(exp(x) - 1, 0)."),
    "elu": _one_node("Elu", "x, or exp(x) - 1 below 0."),
    "exponential": _one_node("Exp", "exp(x)."),
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": _one_node("Shrink", "x, or 0 from -0.5 to 0.5.", lambd=0.5),
    "hard_sigmoid": _one_node("HardSigmoid", "clip(x / 6 + 0.5, 0, 1).", alpha=1 / 6, beta=0.5),
    "hard_silu": _one_node("HardSwish", "x * hard_sigmoid(x)."),
    "hard_tanh": hard_tanh,
    "leaky_relu": _one_node("LeakyRelu", "x, or 0.2 x below 0.", alpha=0.2),
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": _one_node("Selu", "elu with fixed slopes that keep mean and variance."),
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": _one_node("Shrink", "x moved by 0.5 towards 0, which it stops at.", lambd=0.5, bias=0.5),
    "softmax": softmax,
    "softplus": _one_node("Softplus", "log(exp(x) + 1)."),
    "softsign": _one_node("Softsign", "x / (1 + abs(x))."),
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": _one_node("HardSigmoid", "clip(x / 2 + 0.5, 0, 1).", alpha=0.5, beta=0.5),
    "squareplus": squareplus,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
}
"""Keras' name -> function."""

ALIASES = {
    "exp": "exponential",
    "hard_swish": "hard_silu",
    "log_softmax_v2": "log_softmax",
    "softmax_v2": "softmax",
    "swish": "silu",
}
"""Other names: Keras' own, and TensorFlow's, which Keras 2 writes for functions that were given as such."""

_BY_NORMAL_NAME = {name.replace("_", ""): ALIASES.get(name, name) for name in (*ACTIVATIONS, *ALIASES)}
"""Case and underscores do not matter: LogSoftmax and Log_Softmax occur."""

FUSED_CLASSES = frozenset({"ELU", "GELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})
"""Classes of activation layers that may stand as an object where an activation is asked for."""


def read_activation(keys: Keys, key: str = "activation", *, default: Activation = linear) -> Activation:
    """The activation at a key: a name, a function or a layer as an object; the default if absent or null.

    Raises:
        ConversionError: if it is one that we do not know.
    """
    value = keys.raw(key)
    if value is None:
        return default
    class_name = fused_class(value)
    if class_name is not None:
        return _fused_layer(keys, key, class_name, value.get("config"))
    known = activation_name(value)
    if known == "hard_sigmoid" and keys.written_by_keras_2:
        return keras_2_hard_sigmoid
    if known is not None:
        return ACTIVATIONS[known]
    name = _written_name(value)
    if isinstance(name, str) and name != value and find_layer(name) is not None:
        raise keys.error(
            key, f'is a layer of class "{name}"', "Write the activation's name, or make it a layer of its own."
        )
    raise keys.unknown(key, name, list(ACTIVATIONS))


def fused_class(value: Any) -> str | None:
    """The class of an activation that is written as a layer, without its package; None if it is written otherwise."""
    class_name = value.get("class_name") if isinstance(value, JsonObject) else None
    own_name = class_name.rpartition(">")[2] if isinstance(class_name, str) else None
    return own_name if own_name in FUSED_CLASSES else None


def activation_name(value: Any) -> str | None:
    """Keras' own name of an activation that is written as a name or a function; None if we do not know it."""
    name = _written_name(value)
    return _BY_NORMAL_NAME.get(name.replace("_", "").lower()) if isinstance(name, str) else None


def _written_name(value: Any) -> Any:
    if isinstance(value, JsonObject):
        return value.get("config") if value.get("class_name") == "function" else value.get("class_name")
    return value


def _fused_layer(keys: Keys, key: str, class_name: str, config: object) -> Activation:
    entry = find_layer(class_name)
    assert entry is not None, "FUSED_CLASSES are classes of this module"
    if config is not None and not isinstance(config, JsonObject):
        raise keys.error(key, 'has a "config" that is no object', 'Write "config": {}.')
    inner = keys.inner(config)
    checked = entry.read_config(inner)
    inner.report_unread()
    return lambda x, layer: entry.convert(checked, [x], layer)[0]


def _clip(x: ir.Value, minimum: float, maximum: float, layer: LayerBuilder) -> ir.Value:
    return layer.op("Clip", [x, layer.scalar("min", minimum), layer.scalar("max", maximum)])


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
    y = _above(x.value, config, layer)
    if config.negative_slope:
        y = layer.op("Sub", [y, _below(x.value, config, layer)])
    return Tensor(y, x.layout)


def _above(x: ir.Value, config: ReLUConfig, layer: LayerBuilder) -> ir.Value:
    """x where it is above the threshold, else 0; then at most max_value."""
    if config.threshold != 0:
        x = layer.op("ThresholdedRelu", [x], alpha=config.threshold)
    return x if config.max_value is None else _clip(x, 0.0, config.max_value, layer)


def _below(x: ir.Value, config: ReLUConfig, layer: LayerBuilder) -> ir.Value:
    """negative_slope * max(threshold - x, 0)."""
    distance = layer.op("Sub", [layer.scalar("origin", config.threshold), x])
    return layer.op("Mul", [layer.op("Relu", [distance]), layer.scalar("slope", config.negative_slope)])


@dataclass(frozen=True)
class LeakyReLUConfig:
    """Keras `LeakyReLU`, checked: Keras 2 calls the slope `alpha`, Keras 3 `negative_slope`."""

    negative_slope: float

    @classmethod
    def read(cls, keys: Keys) -> "LeakyReLUConfig":
        key = "alpha" if keys.has("alpha") else "negative_slope"
        return cls(keys.number(key, default=0.3, minimum=0.0))


@converts("LeakyReLU", config=LeakyReLUConfig.read)
def leaky_relu_layer(config: LeakyReLUConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x, or negative_slope * x below 0."""
    (x,) = inputs
    return Tensor(layer.op("LeakyRelu", [x.value], alpha=config.negative_slope), x.layout)


@dataclass(frozen=True)
class AlphaConfig:
    """Keras `ELU`, checked."""

    alpha: float

    @classmethod
    def read(cls, keys: Keys) -> "AlphaConfig":
        return cls(keys.number("alpha", default=1.0))


@converts("ELU", config=AlphaConfig.read)
def elu_layer(config: AlphaConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x, or alpha * (exp(x) - 1) below 0."""
    (x,) = inputs
    return Tensor(layer.op("Elu", [x.value], alpha=config.alpha), x.layout)


@dataclass(frozen=True)
class ThresholdedReLUConfig:
    """Keras 2's `ThresholdedReLU`, checked."""

    theta: float

    @classmethod
    def read(cls, keys: Keys) -> "ThresholdedReLUConfig":
        return cls(keys.number("theta", default=1.0, minimum=0.0))


@converts("ThresholdedReLU", config=ThresholdedReLUConfig.read)
def thresholded_relu_layer(config: ThresholdedReLUConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x above theta, else 0."""
    (x,) = inputs
    return Tensor(layer.op("ThresholdedRelu", [x.value], alpha=config.theta), x.layout)


@dataclass(frozen=True)
class PReLUConfig:
    """Keras `PReLU`, checked: `shared_axes` in Keras' order, negative from the end, the batch being 0."""

    shared_axes: tuple[int, ...]
    alpha_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "PReLUConfig":
        shared = keys.axes("shared_axes", default=0) if keys.raw("shared_axes") else ()
        return cls(shared, read_initializer(keys, "alpha_initializer", ZEROS))


@converts("PReLU", config=PReLUConfig.read)
def prelu_layer(config: PReLUConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x, or weight * x below 0.

    Declares weight, of the shape of x as it is stored, without the batch, and 1 on shared axes.
    Raises ConversionError if the size of an axis that is not shared is unknown.
    Source: keras.io/api/layers/activation_layers/prelu; ONNX PRelu.
    """
    (x,) = inputs
    shared = {layer.keras_axis(x, axis) for axis in config.shared_axes}
    sizes = [1 if axis in shared else layer.known_size(x, x.stored_axis(axis)) for axis in range(1, x.rank)]
    order = sorted(range(x.rank - 1), key=lambda axis: x.stored_axis(axis + 1))
    slope = layer.parameter("weight", tuple(sizes), AxisOrder(tuple(order)), config.alpha_initializer)
    return Tensor(layer.op("PRelu", [x.value, slope]), x.layout)


@dataclass(frozen=True)
class GELUConfig:
    """TensorFlow Addons' `GELU`, checked."""

    approximate: bool

    @classmethod
    def read(cls, keys: Keys) -> "GELUConfig":
        return cls(keys.flag("approximate", default=False))


@converts("GELU", config=GELUConfig.read)
def gelu_layer(config: GELUConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x times the normal distribution's mass below x, or the approximation of that by tanh."""
    return (gelu_by_tanh if config.approximate else gelu)(inputs[0], layer)


@dataclass(frozen=True)
class SoftmaxConfig:
    """Keras `Softmax`, checked: the axes in Keras' order, negative from the end."""

    axes: tuple[int, ...]

    @classmethod
    def read(cls, keys: Keys) -> "SoftmaxConfig":
        return cls(keys.axes("axis", default=-1))


@converts("Softmax", config=SoftmaxConfig.read)
def softmax_layer(config: SoftmaxConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """exp(x) divided by its sum over one axis or several.

    Raises:
        ConversionError: if x has not these axes, or one is named twice.
    """
    (x,) = inputs
    axes = [layer.keras_axis(x, axis) for axis in config.axes]
    if len(set(axes)) < len(axes):
        raise layer.error('"axis" names an axis twice', "Name each once.")
    return softmax_over(x, axes, layer)


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


@converts("Swish", "SiLU", config=PlainConfig.read)
def silu_layer(config: PlainConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x * sigmoid(x). Not a class of Keras, but of the reference program."""
    return silu(inputs[0], layer)


@converts("Log_Softmax", "LogSoftmax", config=PlainConfig.read_channel_axis)
def log_softmax_layer(config: PlainConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The logarithm of softmax over the channels. Not a class of Keras, but of the reference program."""
    return log_softmax(inputs[0], layer)
