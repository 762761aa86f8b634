"""Layers that act in training only: what they give in use is their input."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from converters.keys import Keys
from converters.layers.data_format import DataFormat, read_data_format
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor, shown
from converters.roles import SHARED_MASK_KEY

__all__ = [
    "DropoutConfig",
    "NoiseConfig",
    "SpatialDropoutConfig",
    "dropout",
    "noise",
    "spatial_dropout",
]


@dataclass(frozen=True)
class DropoutConfig:
    """Keras `Dropout`, checked: `rate` is the share that is dropped.

    `noise_shape` has a size of 1 where all entries of an axis are dropped together; None for every element by itself.
    """

    rate: float
    noise_shape: tuple[int | None, ...] | None

    @classmethod
    def read(cls, keys: Keys) -> "DropoutConfig":
        noise_shape = keys.shape("noise_shape") if keys.has("noise_shape") else keys.raw("noise_shape")
        return cls(keys.number("rate", minimum=0.0, maximum=1.0), noise_shape)


@converts("Dropout", "FixedDropout", config=DropoutConfig.read)
def dropout(config: DropoutConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x; a Dropout node marks where training sets elements to zero and scales the others by 1 / (1 - rate).

    Raises ConversionError if the noise shape has not the axes of x, or other sizes than theirs and 1.
    """
    (x,) = inputs
    together: list[int] = []
    if config.noise_shape is not None:
        fits = len(config.noise_shape) == x.rank and all(
            noise in (None, 1, size) for noise, size in zip(config.noise_shape, x.shape, strict=True)
        )
        if not fits:
            raise layer.error(
                f'"noise_shape" is {shown(config.noise_shape)}, and its input is {shown(x.shape)}',
                "Write a size for each axis with the batch: null, 1, or the input's own.",
            )
        together = [axis for axis, size in enumerate(config.noise_shape) if size == 1]
    return _dropout(x, config.rate, [x.stored_axis(axis) for axis in together], layer)


def _dropout(x: Tensor, rate: float, together: Sequence[int], layer: LayerBuilder) -> Tensor:
    """A Dropout node over x that drops all entries of these stored axes together."""
    y = layer.op("Dropout", [x.value, layer.scalar("ratio", rate)])
    if together:
        layer.annotate(y, SHARED_MASK_KEY, json.dumps(sorted(together)))
    return Tensor(y, x.layout)


@dataclass(frozen=True)
class SpatialDropoutConfig:
    """Keras `SpatialDropout1D`, `SpatialDropout2D`, `SpatialDropout3D`, checked."""

    rank: int
    rate: float
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "SpatialDropoutConfig":
        keys.refuse_unless("noise_shape", None, "whole channels are dropped")
        return cls(rank, keys.number("rate", minimum=0.0, maximum=1.0), read_data_format(keys))


@converts("SpatialDropout1D", config=partial(SpatialDropoutConfig.read, rank=1))
@converts("SpatialDropout2D", config=partial(SpatialDropoutConfig.read, rank=2))
@converts("SpatialDropout3D", config=partial(SpatialDropoutConfig.read, rank=3))
def spatial_dropout(config: SpatialDropoutConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn); a Dropout node whose metadata tells training to drop whole channels of a sample."""
    x = layer.image(inputs[0], config.data_format, config.rank)
    return _dropout(x, config.rate, range(2, x.rank), layer)


@dataclass(frozen=True)
class NoiseConfig:
    """Keras `GaussianNoise`, `GaussianDropout`, `AlphaDropout`, `ActivityRegularization`, checked."""

    @classmethod
    def read(cls, keys: Keys, strengths: Sequence[str]) -> "NoiseConfig":
        keys.raw("noise_shape")
        for key in strengths:
            if keys.number(key, default=0.0, minimum=0.0):
                keys.notice(key, "has no effect: the layer passes its input on unchanged, also in training")
        return cls()


@converts("GaussianNoise", config=partial(NoiseConfig.read, strengths=("stddev",)))
@converts("GaussianDropout", config=partial(NoiseConfig.read, strengths=("rate",)))
@converts("AlphaDropout", config=partial(NoiseConfig.read, strengths=("rate",)))
@converts("ActivityRegularization", config=partial(NoiseConfig.read, strengths=("l1", "l2")))
def noise(config: NoiseConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x itself, without a node."""
    return inputs[0]
