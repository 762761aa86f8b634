"""Layers at the core of Keras: the input, Dense and Dropout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.axes import DENSE_KERNEL, VECTOR
from converters.initializers import GLOROT_UNIFORM, ZEROS, Initializer, read_initializer
from converters.keys import Keys
from converters.layers.activation import Activation, read_activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Tensor

__all__ = ["SHAPE_KEYS", "DenseConfig", "DropoutConfig", "InputLayerConfig", "dense", "dropout", "input_layer"]

SHAPE_KEYS = ("batch_shape", "batch_input_shape", "build_input_shape", "input_shape", "shape")
"""Where an input's shape may stand: Keras 3, Keras 2, a Sequential without input layer; the last two without batch."""

WITHOUT_BATCH = frozenset({"input_shape", "shape"})

MAX_RANK = 5
"""Three spatial axes besides batch and channels."""


@dataclass(frozen=True)
class InputLayerConfig:
    """Keras `InputLayer`, checked: the shape in Keras' order with the batch, None where a size is unknown."""

    shape: tuple[int | None, ...]

    @classmethod
    def read(cls, keys: Keys) -> "InputLayerConfig":
        for key in SHAPE_KEYS:
            if keys.has(key):
                shape = keys.shape(key)
                shape = (None, *shape) if key in WITHOUT_BATCH else shape
                if not 2 <= len(shape) <= MAX_RANK:
                    raise keys.error(
                        key,
                        f"has {len(shape)} axes with the batch, and 2 to {MAX_RANK} can be converted",
                        "Write the batch (null), up to three spatial sizes, and the channels.",
                    )
                return cls(shape)
        raise keys.error("batch_shape", "is missing", 'Add "batch_shape": [null, height, width, channels].')


@converts("InputLayer", "Input", config=InputLayerConfig.read, arity=Arity.NONE)
def input_layer(config: InputLayerConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """A graph input named after the layer, stored channels first."""
    return layer.input(config.shape)


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """Keras `Dense`, checked."""

    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "DenseConfig":
        return cls(
            units=keys.integer("units"),
            activation=read_activation(keys),
            use_bias=keys.flag("use_bias", default=True),
            kernel_initializer=read_initializer(keys, "kernel_initializer", GLOROT_UNIFORM),
            bias_initializer=read_initializer(keys, "bias_initializer", ZEROS),
        )


@converts("Dense", config=DenseConfig.read)
def dense(config: DenseConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """Multiply the channels of x, (N, in) or (N, in, s1...sk), into (N, units) or (N, units, s1...sk).

    Declares weight (units, in) and, with use_bias, bias (units,).
    Raises ConversionError if the number of channels is unknown.
    Source: keras.io/api/layers/core_layers/dense; ONNX Gemm, and Conv with a window of one cell.
    """
    x = layer.channels_first(inputs[0])
    kernel_shape = (layer.known_channels(x), config.units)
    weight = layer.parameter("weight", kernel_shape, DENSE_KERNEL, config.kernel_initializer)
    bias = [layer.parameter("bias", (config.units,), VECTOR, config.bias_initializer)] if config.use_bias else []
    if x.layout is Layout.KERAS:
        y = layer.op("Gemm", [x.value, weight, *bias], transB=1)
    else:
        window_axes = layer.constant("window_axes", np.arange(2, x.rank, dtype=np.int64))
        y = layer.op("Conv", [x.value, layer.op("Unsqueeze", [weight, window_axes]), *bias])
    return config.activation(Tensor(y, x.layout), layer)


@dataclass(frozen=True)
class DropoutConfig:
    """Keras `Dropout`, checked: `rate` is the share that is dropped."""

    rate: float

    @classmethod
    def read(cls, keys: Keys) -> "DropoutConfig":
        keys.refuse_unless("noise_shape", None, "every element is dropped by itself")
        return cls(keys.number("rate", minimum=0.0, maximum=1.0))


@converts("Dropout", config=DropoutConfig.read)
def dropout(config: DropoutConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x; a Dropout node marks where training sets elements to zero and scales the others by 1 / (1 - rate)."""
    (x,) = inputs
    ratio = layer.constant("ratio", np.array(config.rate, np.float32))
    return Tensor(layer.op("Dropout", [x.value, ratio]), x.layout)
