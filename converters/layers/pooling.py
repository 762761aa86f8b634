"""Pooling over windows and over all of space."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Tensor
from converters.layers.window import Padding, Window, require_channels_last

__all__ = ["GlobalPoolingConfig", "PoolingConfig", "global_average_pooling", "max_pooling"]


@dataclass(frozen=True)
class PoolingConfig:
    """Keras `MaxPooling1D`, `MaxPooling2D`, `MaxPooling3D`, checked."""

    window: Window

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "PoolingConfig":
        require_channels_last(keys)
        size = keys.integers("pool_size", rank, default=2)
        strides = keys.optional_integers("strides", rank) or size
        return cls(Window(size, strides, (1,) * rank, keys.choice("padding", Padding, default=Padding.VALID)))


@converts("MaxPooling1D", "MaxPool1D", config=partial(PoolingConfig.read, rank=1))
@converts("MaxPooling2D", "MaxPool2D", config=partial(PoolingConfig.read, rank=2))
@converts("MaxPooling3D", "MaxPool3D", config=partial(PoolingConfig.read, rank=3))
def max_pooling(config: PoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The largest cell of each window over x (N, C, s1...sn); padding never wins.

    Raises ConversionError if nothing of x would be left.
    Source: keras.io/api/layers/pooling_layers/max_pooling2d; ONNX MaxPool, opset 12.
    """
    x = layer.channels_first(inputs[0])
    layer.require_rank(x, config.window.rank)
    pads = config.window.pad_attributes(x, layer)
    y = layer.op("MaxPool", [x.value], kernel_shape=config.window.size, strides=config.window.strides, **pads)
    return Tensor(y, x.layout)


@dataclass(frozen=True)
class GlobalPoolingConfig:
    """Keras `GlobalAveragePooling1D`, `...2D`, `...3D`, checked."""

    rank: int
    keepdims: bool

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "GlobalPoolingConfig":
        require_channels_last(keys)
        return cls(rank, keys.flag("keepdims", default=False))


@converts("GlobalAveragePooling1D", "GlobalAvgPool1D", config=partial(GlobalPoolingConfig.read, rank=1))
@converts("GlobalAveragePooling2D", "GlobalAvgPool2D", config=partial(GlobalPoolingConfig.read, rank=2))
@converts("GlobalAveragePooling3D", "GlobalAvgPool3D", config=partial(GlobalPoolingConfig.read, rank=3))
def global_average_pooling(config: GlobalPoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The mean of x (N, C, s1...sn) over space: (N, C), or with keepdims (N, C, 1...1)."""
    x = layer.channels_first(inputs[0])
    layer.require_rank(x, config.rank)
    mean = layer.op("GlobalAveragePool", [x.value])
    if config.keepdims:
        return Tensor(mean, Layout.CHANNELS_FIRST)
    return Tensor(layer.op("Flatten", [mean]), Layout.KERAS)
