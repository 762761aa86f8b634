"""Axis orders of weights: how Keras stores them, how ONNX and torch do, and the way between the two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DENSE_KERNEL", "VECTOR", "AxisOrder", "convolution_kernel", "depthwise_kernel", "unchanged"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AxisOrder:
    """One kind of weight; `permutation[i]` is the Keras axis that stands at ONNX axis `i`.

    `merged` says that the first two of those are one axis in ONNX, and that an axis of size 1 follows it.
    """

    permutation: tuple[int, ...]
    merged: bool = False

    def onnx_shape(self, keras_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in ONNX order of a weight of this Keras shape."""
        shape = tuple(keras_shape[axis] for axis in self.permutation)
        return (math.prod(shape[:2]), 1, *shape[2:]) if self.merged else shape

    def to_onnx(self, array: Array) -> Array:
        """The weight in ONNX order, contiguous."""
        return _contiguous(array.transpose(self.permutation)).reshape(self.onnx_shape(array.shape))

    def to_keras(self, array: Array, keras_shape: Sequence[int]) -> Array:
        """The weight in Keras order, contiguous: the inverse of `to_onnx`.

        Args:
            keras_shape: of the result; which sizes an axis was merged from does not show in the array.
        """
        apart = array.reshape([keras_shape[axis] for axis in self.permutation])
        return _contiguous(apart.transpose(np.argsort(self.permutation)))


TILE = 64
"""Entries of an axis that are copied at once: the rows that they are read from stay in the processor's cache."""


def _contiguous(view: Array) -> Array:
    """A transposed array in one piece. In tiles, which for large kernels takes half the time of NumPy's own order."""
    if view.ndim < 2 or view.flags.c_contiguous:
        return np.ascontiguousarray(view)
    copy = np.empty(view.shape, view.dtype)
    for row in range(0, view.shape[0], TILE):
        for column in range(0, view.shape[1], TILE):
            tile = slice(row, row + TILE), slice(column, column + TILE)
            copy[tile] = view[tile]
    return copy


VECTOR = AxisOrder((0,))
"""Biases, scales and running statistics: (channels,) in both."""

DENSE_KERNEL = AxisOrder((1, 0))
"""Keras (in, out) -> ONNX (out, in)."""


def unchanged(rank: int) -> AxisOrder:
    """The order of a weight that is stored in ONNX as Keras stores it."""
    return AxisOrder(tuple(range(rank)))


def convolution_kernel(spatial_rank: int) -> AxisOrder:
    """The order of a convolution kernel: Keras (k1...kn, in / groups, out) -> ONNX (out, in / groups, k1...kn).

    A transposed convolution's too: Keras (k1...kn, out, in) -> ONNX (in, out, k1...kn), with no flip, as both take it
    for the gradient of a convolution.
    """
    return AxisOrder((spatial_rank + 1, spatial_rank, *range(spatial_rank)))


def depthwise_kernel(spatial_rank: int) -> AxisOrder:
    """The order of a depthwise kernel: Keras (k1...kn, in, multiplier) -> ONNX (in * multiplier, 1, k1...kn)."""
    return AxisOrder((spatial_rank, spatial_rank + 1, *range(spatial_rank)), merged=True)
