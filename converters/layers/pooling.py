"""Pooling over windows and over all of space."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from converters.keys import Keys
from converters.layers.data_format import DataFormat, read_data_format
from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Tensor, shown
from converters.layers.window import Padding, Window

__all__ = [
    "GlobalPoolingConfig",
    "PoolingConfig",
    "average_pooling",
    "global_average_pooling",
    "global_max_pooling",
    "max_pooling",
    "pooled",
]


@dataclass(frozen=True)
class PoolingConfig:
    """Keras `MaxPooling1D`, `AveragePooling1D` and so on, checked."""

    window: Window
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "PoolingConfig":
        size = keys.integers("pool_size", rank, default=2)
        strides = keys.optional_integers("strides", rank) or size
        padding = keys.choice("padding", Padding, default=Padding.VALID)
        return cls(Window(size, strides, (1,) * rank, padding), read_data_format(keys))


@converts("MaxPooling1D", "MaxPool1D", config=partial(PoolingConfig.read, rank=1))
@converts("MaxPooling2D", "MaxPool2D", config=partial(PoolingConfig.read, rank=2))
@converts("MaxPooling3D", "MaxPool3D", config=partial(PoolingConfig.read, rank=3))
def max_pooling(config: PoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The largest cell of each window over x (N, C, s1...sn); padding never wins.

    Raises ConversionError if nothing of x would be left.
    Source: keras.io/api/layers/pooling_layers/max_pooling2d; ONNX MaxPool, opset 12.
    """
    return pooled("MaxPool", config, inputs[0], layer)


@converts("AveragePooling1D", "AvgPool1D", config=partial(PoolingConfig.read, rank=1))
@converts("AveragePooling2D", "AvgPool2D", config=partial(PoolingConfig.read, rank=2))
@converts("AveragePooling3D", "AvgPool3D", config=partial(PoolingConfig.read, rank=3))
def average_pooling(config: PoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The mean of each window over x (N, C, s1...sn); padding does not count.

    Raises ConversionError if nothing of x would be left.
    Source: keras.io/api/layers/pooling_layers/average_pooling2d; ONNX AveragePool, opset 11.
    """
    return pooled("AveragePool", config, inputs[0], layer)


def pooled(op_type: str, config: PoolingConfig, x: Tensor, layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) pooled by an ONNX operator."""
    x = layer.image(x, config.data_format, config.window.rank)
    pads = config.window.pad_attributes(x, layer)
    y = layer.op(op_type, [x.value], kernel_shape=config.window.size, strides=config.window.strides, **pads)
    return Tensor(y, x.layout)


@dataclass(frozen=True)
class AdaptivePoolingConfig:
    """Keras `AdaptiveAveragePooling1D`, `AdaptiveMaxPooling1D` and so on, checked: cells along each spatial axis."""

    counts: tuple[int, ...]
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "AdaptivePoolingConfig":
        return cls(keys.integers("output_size", rank), read_data_format(keys))


@converts("AdaptiveAveragePooling1D", config=partial(AdaptivePoolingConfig.read, rank=1))
@converts("AdaptiveAveragePooling2D", config=partial(AdaptivePoolingConfig.read, rank=2))
@converts("AdaptiveAveragePooling3D", config=partial(AdaptivePoolingConfig.read, rank=3))
def adaptive_average_pooling(config: AdaptivePoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The means of x (N, C, s1...sn) over as many windows of one size as the config says.

    Raises ConversionError if a size of x is unknown, or no multiple of their number.
    Source: keras.io/api/layers/pooling_layers.
    """
    return _adaptively_pooled("AveragePool", config, inputs[0], layer)


@converts("AdaptiveMaxPooling1D", config=partial(AdaptivePoolingConfig.read, rank=1))
@converts("AdaptiveMaxPooling2D", config=partial(AdaptivePoolingConfig.read, rank=2))
@converts("AdaptiveMaxPooling3D", config=partial(AdaptivePoolingConfig.read, rank=3))
def adaptive_max_pooling(config: AdaptivePoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The largest cells of x (N, C, s1...sn) in as many windows of one size as the config says.

    Raises ConversionError if a size of x is unknown, or no multiple of their number.
    Source: keras.io/api/layers/pooling_layers.
    """
    return _adaptively_pooled("MaxPool", config, inputs[0], layer)


def _adaptively_pooled(op_type: str, config: AdaptivePoolingConfig, x: Tensor, layer: LayerBuilder) -> Tensor:
    image = layer.image(x, config.data_format, len(config.counts))
    window = even_windows(image, config.counts, layer)
    if window is None:
        raise layer.error(
            f"makes {shown(config.counts)} cells of its input {shown(x.shape)}, for which its windows differ in size",
            "Write divisors of the input's sizes.",
        )
    return pooled(op_type, PoolingConfig(window, config.data_format), x, layer)


def even_windows(image: Tensor, counts: Sequence[int], layer: LayerBuilder) -> Window | None:
    """The window that makes so many cells of an image (N, C, s1...sn); None if windows of one size do not.

    Raises:
        ConversionError: if a size of the image is unknown.
    """
    sizes = [layer.known_size(image, axis) for axis in range(2, image.rank)]
    if any(size % count for size, count in zip(sizes, counts, strict=True)):
        return None
    size = tuple(size // count for size, count in zip(sizes, counts, strict=True))
    return Window(size, size, (1,) * len(size), Padding.VALID)


@dataclass(frozen=True)
class GlobalPoolingConfig:
    """Keras `GlobalAveragePooling1D`, `GlobalMaxPooling1D` and so on, checked."""

    rank: int
    keepdims: bool
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "GlobalPoolingConfig":
        return cls(rank, keys.flag("keepdims", default=False), read_data_format(keys))


@converts("GlobalAveragePooling1D", "GlobalAvgPool1D", config=partial(GlobalPoolingConfig.read, rank=1))
@converts("GlobalAveragePooling2D", "GlobalAvgPool2D", config=partial(GlobalPoolingConfig.read, rank=2))
@converts("GlobalAveragePooling3D", "GlobalAvgPool3D", config=partial(GlobalPoolingConfig.read, rank=3))
def global_average_pooling(config: GlobalPoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The mean of x (N, C, s1...sn) over space: (N, C), or with keepdims (N, C, 1...1).

    Of a sequence with a mask, the mean of the steps that count.
    """
    if config.rank == 1 and inputs[0].mask is not None:
        return _mean_of_steps(config, inputs[0], inputs[0].mask, layer)
    return _global_pooling("GlobalAveragePool", config, inputs[0], layer)


def _mean_of_steps(config: GlobalPoolingConfig, x: Tensor, mask: ir.Value, layer: LayerBuilder) -> Tensor:
    """The mean over those steps of x (N, C, T) that the mask (N, T) lets pass."""
    x = layer.image(x, config.data_format, config.rank)
    if Tensor(mask, Layout.KERAS).rank != 2:
        raise layer.error(
            f"its mask {shown(Tensor(mask, Layout.KERAS).shape)} is not one number for each step",
            f"Give a mask ({BATCH}, T).",
        )
    channel_axis = layer.constant("channel_axis", np.array([1], np.int64))
    counted = layer.op("Unsqueeze", [layer.op("Cast", [mask], to=ir.DataType.FLOAT), channel_axis])
    over = {"axes": [2], "keepdims": int(config.keepdims)}
    total = layer.op("ReduceSum", [layer.op("Mul", [x.value, counted])], **over)
    mean = layer.op("Div", [total, layer.op("ReduceSum", [counted], **over)])
    return Tensor(mean, x.layout if config.keepdims else Layout.KERAS)


@converts("GlobalMaxPooling1D", "GlobalMaxPool1D", config=partial(GlobalPoolingConfig.read, rank=1))
@converts("GlobalMaxPooling2D", "GlobalMaxPool2D", config=partial(GlobalPoolingConfig.read, rank=2))
@converts("GlobalMaxPooling3D", "GlobalMaxPool3D", config=partial(GlobalPoolingConfig.read, rank=3))
def global_max_pooling(config: GlobalPoolingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The largest cell of x (N, C, s1...sn) over space: (N, C), or with keepdims (N, C, 1...1)."""
    return _global_pooling("GlobalMaxPool", config, inputs[0], layer)


def _global_pooling(op_type: str, config: GlobalPoolingConfig, x: Tensor, layer: LayerBuilder) -> Tensor:
    x = layer.image(x, config.data_format, config.rank)
    pooled = layer.op(op_type, [x.value])
    return Tensor(pooled, x.layout) if config.keepdims else Tensor(layer.op("Flatten", [pooled]), Layout.KERAS)
