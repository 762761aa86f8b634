"""Axis orders of weights: how Keras stores them, how ONNX and torch do, and the way between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DENSE_KERNEL", "VECTOR", "AxisOrder", "convolution_kernel"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AxisOrder:
    """One kind of weight; `permutation[i]` is the Keras axis that stands at ONNX axis `i`."""

    permutation: tuple[int, ...]

    def onnx_shape(self, keras_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in ONNX order of a weight of this Keras shape."""
        return tuple(keras_shape[axis] for axis in self.permutation)

    def to_onnx(self, array: Array) -> Array:
        """The weight in ONNX order, contiguous."""
        return np.ascontiguousarray(array.transpose(self.permutation))

    def to_keras(self, array: Array) -> Array:
        """The weight in Keras order, contiguous: the inverse of `to_onnx`."""
        return np.ascontiguousarray(array.transpose(np.argsort(self.permutation)))


VECTOR = AxisOrder((0,))
"""Biases, scales and running statistics: (channels,) in both."""

DENSE_KERNEL = AxisOrder((1, 0))
"""Keras (in, out) -> ONNX (out, in)."""


def convolution_kernel(spatial_rank: int) -> AxisOrder:
    """The order of a convolution kernel: Keras (k1...kn, in / groups, out) -> ONNX (out, in / groups, k1...kn).

    A transposed convolution's too: Keras (k1...kn, out, in) -> ONNX (in, out, k1...kn), with no flip, as both take it
    for the gradient of a convolution.
    """
    return AxisOrder((spatial_rank + 1, spatial_rank, *range(spatial_rank)))
