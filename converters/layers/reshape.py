"""Layers that move or repeat cells: Flatten and UpSampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Tensor
from converters.layers.window import require_channels_last

__all__ = ["FlattenConfig", "Interpolation", "UpSamplingConfig", "flatten", "up_sampling"]


@dataclass(frozen=True)
class FlattenConfig:
    """Keras `Flatten`, which has no options that matter here."""

    @classmethod
    def read(cls, keys: Keys) -> "FlattenConfig":
        require_channels_last(keys)
        return cls()


@converts("Flatten", config=FlattenConfig.read)
def flatten(config: FlattenConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The elements of x as (N, all), in Keras' order: the channels of a cell stand together.

    Source: keras.io/api/layers/reshaping_layers/flatten; ONNX Flatten.
    """
    (x,) = inputs
    in_order = x if x.has_keras_element_order() else layer.keras_order(x)
    return Tensor(layer.op("Flatten", [in_order.value]), Layout.KERAS)


class Interpolation(Enum):
    """What stands between the cells of a smaller tensor."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


MODES = {
    Interpolation.NEAREST: {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    Interpolation.BILINEAR: {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}
"""Attributes of the ONNX Resize that equals Keras' interpolation."""


@dataclass(frozen=True)
class UpSamplingConfig:
    """Keras `UpSampling1D`, `UpSampling2D`, `UpSampling3D`, checked: `size` is the factor on each axis."""

    size: tuple[int, ...]
    interpolation: Interpolation

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "UpSamplingConfig":
        require_channels_last(keys)
        interpolation = keys.choice("interpolation", Interpolation, default=Interpolation.NEAREST)
        if interpolation is Interpolation.BILINEAR and rank != 2:
            raise keys.error("interpolation", 'is "bilinear", which needs two spatial axes', 'Write "nearest".')
        return cls(keys.integers("size", rank, default=2), interpolation)


@converts("UpSampling1D", config=partial(UpSamplingConfig.read, rank=1))
@converts("UpSampling2D", config=partial(UpSamplingConfig.read, rank=2))
@converts("UpSampling3D", config=partial(UpSamplingConfig.read, rank=3))
def up_sampling(config: UpSamplingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) with every spatial size multiplied: cells repeated, or interpolated between their centres.

    Source: keras.io/api/layers/reshaping_layers/up_sampling2d; ONNX Resize, opset 13.
    """
    x = layer.channels_first(inputs[0])
    layer.require_rank(x, len(config.size))
    scales = layer.constant("scales", np.array([1, 1, *config.size], np.float32))
    return Tensor(layer.op("Resize", [x.value, None, scales], **MODES[config.interpolation]), x.layout)
