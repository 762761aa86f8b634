"""Layers that bring raw data to the range that a network is trained for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.initializers import ONES, ZEROS
from converters.keys import Keys
from converters.layers.broadcasting import along, spread, stored_order
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Tensor, shown

__all__ = ["NormalizationConfig", "RescalingConfig", "normalization", "rescaling"]

SMALLEST_DEVIATION = 1e-7
"""What a deviation counts at least when it is divided by it: Keras' `backend.epsilon()`."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RescalingConfig:
    """Keras `Rescaling`, checked: numbers, or one for each entry of the last axes."""

    scale: Array
    offset: Array

    @classmethod
    def read(cls, keys: Keys) -> "RescalingConfig":
        return cls(keys.numbers("scale"), keys.numbers("offset", default=0.0))


@converts("Rescaling", config=RescalingConfig.read)
def rescaling(config: RescalingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """scale * x + offset.

    Raises ConversionError if they have more axes than x, or other sizes.
    Source: keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling.
    """
    (x,) = inputs
    y = layer.op("Mul", [x.value, _spread("scale", config.scale, x, layer)])
    if config.offset.any():
        y = layer.op("Add", [y, _spread("offset", config.offset, x, layer)])
    return Tensor(y, x.layout)


def _spread(what: str, array: Array, x: Tensor, layer: LayerBuilder) -> ir.Value:
    """A constant that broadcasts against x as `array` does in Keras' order."""
    if array.size == 1:
        return layer.constant(what, array.reshape(()))
    sizes = (1,) * (x.rank - array.ndim) + array.shape
    if len(sizes) != x.rank or any(m not in (1, n) for m, n in zip(sizes, x.shape, strict=True) if isinstance(n, int)):
        raise layer.error(
            f'its "{what}" has the shape {shown(array.shape)}, which does not fit its input {shown(x.shape)}',
            "Write one number, or as many as the last axis has.",
        )
    spread = array.reshape(sizes)
    if x.layout is Layout.CHANNELS_FIRST:
        spread = np.moveaxis(spread, -1, 1)
    return layer.constant(what, np.ascontiguousarray(spread))


@dataclass(frozen=True)
class NormalizationConfig:
    """Keras `Normalization`, checked: the axes that keep means of their own, in Keras' order.

    Mean and variance are None where the layer was adapted to data, so that they are weights.
    """

    axes: tuple[int, ...]
    mean: Array | None
    variance: Array | None
    invert: bool

    @classmethod
    def read(cls, keys: Keys) -> "NormalizationConfig":
        axes = keys.axes("axis", default=-1, may_be_empty=True)
        mean, variance = (
            keys.numbers(key, minimum=least) if keys.has(key) else keys.raw(key)
            for key, least in (("mean", -math.inf), ("variance", 0.0))
        )
        if (mean is None) != (variance is None):
            key = "mean" if variance is None else "variance"
            raise keys.error(key, "is given without the other of mean and variance", "Write both or none.")
        return cls(axes, mean, variance, keys.flag("invert", default=False))


@converts("Normalization", config=NormalizationConfig.read)
def normalization(config: NormalizationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """(x - mean) / sqrt(variance), or with invert x * sqrt(variance) + mean.

    Declares running_mean and running_var, which training leaves alone, if the config does not give their values.
    Raises ConversionError if the size of one of its axes is unknown.
    Source: keras.io/api/layers/preprocessing_layers/numerical/normalization.
    """
    (x,) = inputs
    axes = sorted(layer.keras_axes(x, config.axes))
    sizes = tuple(layer.known_size(x, x.stored_axis(axis)) for axis in axes)
    stored, order = stored_order(x, axes)
    if config.mean is not None and config.variance is not None:
        deviations = np.maximum(np.sqrt(config.variance), np.float32(SMALLEST_DEVIATION))
        arrays = {"mean": ("mean", config.mean), "deviation": ("variance", deviations)}
        mean, deviation = (
            layer.constant(what, spread(order.to_onnx(_broadcast(key, array, sizes, layer)), stored, x))
            for what, (key, array) in arrays.items()
        )
        return _normalized(x, mean, deviation, config.invert, layer)
    mean = layer.parameter("running_mean", sizes, order, ZEROS, fixed=True)
    variance = layer.parameter("running_var", sizes, order, ONES, fixed=True)
    if stored == [1] and not config.invert:
        one, zero = (layer.constant(what, np.full(sizes, n, np.float32)) for what, n in (("scale", 1), ("offset", 0)))
        # Of no variance, the root of this epsilon is what Keras divides by; of any other, it is below rounding.
        y = layer.op("BatchNormalization", [x.value, one, zero, mean, variance], epsilon=SMALLEST_DEVIATION**2)
        return Tensor(y, x.layout)
    deviation = layer.op("Max", [layer.op("Sqrt", [variance]), layer.scalar("smallest", SMALLEST_DEVIATION)])
    if stored:
        mean, deviation = along(mean, stored, x, layer), along(deviation, stored, x, layer)
    return _normalized(x, mean, deviation, config.invert, layer)


def _normalized(x: Tensor, mean: ir.Value, deviation: ir.Value, invert: bool, layer: LayerBuilder) -> Tensor:
    if invert:
        return Tensor(layer.op("Add", [layer.op("Mul", [x.value, deviation]), mean]), x.layout)
    return Tensor(layer.op("Div", [layer.op("Sub", [x.value, mean]), deviation]), x.layout)


def _broadcast(what: str, array: Array, sizes: tuple[int, ...], layer: LayerBuilder) -> Array:
    """The array in the shape of the axes that keep means of their own."""
    try:
        return np.broadcast_to(array, sizes)
    except ValueError as error:
        raise layer.error(
            f'its "{what}" has the shape {shown(array.shape)}, which does not fit the sizes {shown(sizes)} of its axes',
            "Write one number, or one for each entry of the axes.",
        ) from error
