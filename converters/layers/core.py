"""Layers at the core of Keras: the input, Dense, Embedding, Masking and Identity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.axes import DENSE_KERNEL, VECTOR, unchanged
from converters.initializers import GLOROT_UNIFORM, ZEROS, Initializer, RandomUniform, read_initializer
from converters.keys import Keys
from converters.layers.activation import Activation, read_activation
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Tensor

__all__ = [
    "SHAPE_KEYS",
    "DenseConfig",
    "EmbeddingConfig",
    "IdentityConfig",
    "InputLayerConfig",
    "MaskingConfig",
    "dense",
    "embedding",
    "identity",
    "input_layer",
    "linear",
    "masking",
]

SHAPE_KEYS = ("batch_shape", "batch_input_shape", "build_input_shape", "input_shape", "shape")
"""Where an input's shape may stand: Keras 3, Keras 2, a Sequential without input layer; the last two without batch."""

WITHOUT_BATCH = frozenset({"input_shape", "shape"})

MAX_RANK = 6
"""Four axes besides batch and channels: three spatial ones, and one of time, or two of each."""


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
                        "Write the batch (null), up to four sizes of space and time, and the channels.",
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
    """Multiply the channels of x, stored as (N, in), (N, in, s1...sk) or (N, s1...sk, in), into `units` others.

    Declares weight (units, in) and, with use_bias, bias (units,).
    Raises ConversionError if the number of channels is unknown.
    Source: keras.io/api/layers/core_layers/dense; ONNX Gemm, Conv with a window of one cell, MatMul.
    """
    (x,) = inputs
    kernel_shape = (layer.known_size(x, x.stored_axis(x.rank - 1)), config.units)
    weight = layer.parameter("weight", kernel_shape, DENSE_KERNEL, config.kernel_initializer)
    bias = [layer.parameter("bias", (config.units,), VECTOR, config.bias_initializer)] if config.use_bias else []
    return config.activation(linear(x, weight, bias, layer), layer)


def linear(x: Tensor, weight: ir.Value, bias: Sequence[ir.Value], layer: LayerBuilder) -> Tensor:
    """The channels of x multiplied by a weight (out, in), with the bias (out,) added, if there is one."""
    if x.rank == 2:
        y = layer.op("Gemm", [x.value, weight, *bias], transB=1)
    elif x.layout is Layout.CHANNELS_FIRST:
        window_axes = layer.constant("window_axes", np.arange(2, x.rank, dtype=np.int64))
        y = layer.op("Conv", [x.value, layer.op("Unsqueeze", [weight, window_axes]), *bias])
    else:
        y = layer.op("MatMul", [x.value, layer.op("Transpose", [weight], perm=(1, 0))])
        y = layer.op("Add", [y, *bias]) if bias else y
    return Tensor(y, x.layout)


@dataclass(frozen=True)
class IdentityConfig:
    """Keras `Identity`, and the base class `Layer` of Keras 2, which have no options."""

    @classmethod
    def read(cls, keys: Keys) -> "IdentityConfig":
        return cls()


@converts("Identity", "Layer", config=IdentityConfig.read)
def identity(config: IdentityConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x itself, without a node."""
    return inputs[0]


@dataclass(frozen=True)
class EmbeddingConfig:
    """Keras `Embedding`, checked; with `mask_zero`, the number 0 stands for no word."""

    input_dim: int
    output_dim: int
    mask_zero: bool
    embeddings_initializer: Initializer

    @classmethod
    def read(cls, keys: Keys) -> "EmbeddingConfig":
        keys.raw("input_length")  # what Keras 2 repeats of the input's shape
        return cls(
            keys.integer("input_dim"),
            keys.integer("output_dim"),
            keys.flag("mask_zero", default=False),
            read_initializer(keys, "embeddings_initializer", RandomUniform(-0.05, 0.05)),
        )


@converts("Embedding", config=EmbeddingConfig.read)
def embedding(config: EmbeddingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The row of weight that each number of x (N, s1...sk) asks for: (N, s1...sk, output_dim), masked where it is 0.

    Declares weight (input_dim, output_dim).
    Source: keras.io/api/layers/core_layers/embedding; ONNX Gather.
    """
    x = layer.keras_order(layer.cast(inputs[0], ir.DataType.INT64))
    weight = layer.parameter(
        "weight", (config.input_dim, config.output_dim), unchanged(2), config.embeddings_initializer
    )
    mask = layer.op("Cast", [x.value], to=ir.DataType.BOOL) if config.mask_zero else None
    return Tensor(layer.op("Gather", [weight, x.value]), Layout.KERAS, mask)


@dataclass(frozen=True)
class MaskingConfig:
    """Keras `Masking`, checked."""

    mask_value: float

    @classmethod
    def read(cls, keys: Keys) -> "MaskingConfig":
        return cls(keys.number("mask_value", default=0.0))


@converts("Masking", config=MaskingConfig.read)
def masking(config: MaskingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x with zeros, and masked, at the steps where all features are mask_value.

    Source: keras.io/api/layers/core_layers/masking, keras/src/layers/core/masking.py.
    """
    (x,) = inputs
    features = x.stored_axis(x.rank - 1)
    equal = layer.op("Equal", [x.value, layer.scalar("mask_value", config.mask_value)])
    differs = layer.op("Cast", [layer.op("Not", [equal])], to=ir.DataType.FLOAT)
    factor = layer.op("ReduceMax", [differs], axes=[features], keepdims=1)
    mask = layer.op("Squeeze", [factor, layer.constant("features", np.array([features], np.int64))])
    mask = layer.op("Cast", [mask], to=ir.DataType.BOOL)
    return Tensor(layer.op("Mul", [x.value, factor]), x.layout, mask)
