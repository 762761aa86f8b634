"""Axis orders of weights: how Keras stores them, how ONNX and torch do, and the way between the two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "DENSE_KERNEL",
    "LSTM_GATES",
    "SCALAR",
    "VECTOR",
    "AxisOrder",
    "convolution_kernel",
    "depthwise_kernel",
    "head_vectors",
    "input_heads",
    "output_heads",
    "recurrent_bias",
    "recurrent_kernel",
    "unchanged",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class AxisOrder:
    """One kind of weight: what is done to Keras' array to get ONNX', in three steps.

    Args:
        permutation: the Keras axis that stands at each place.
        groups: how many of the axes, now in that order, become each axis of ONNX: 0 for one of size 1 that Keras does
            not have. Empty if each stays by itself.
        gates: where the last Keras axis consists of as many equal blocks, the block that stands at each place; this is
            the first step. Empty if it is whole.
    """

    permutation: tuple[int, ...]
    groups: tuple[int, ...] = ()
    gates: tuple[int, ...] = ()

    def fits(self, keras_shape: Sequence[int]) -> bool:
        """Whether there can be a weight of this Keras shape: what files say of one may be damaged."""
        whole = sorted(self.permutation) == list(range(len(keras_shape)))
        grouped = not self.groups or (min(self.groups) >= 0 and sum(self.groups) == len(keras_shape))
        gates = sorted(self.gates) == list(range(len(self.gates)))
        return whole and grouped and gates and (not self.gates or keras_shape[-1] % len(self.gates) == 0)

    @property
    def keeps_order(self) -> bool:
        """Whether the values follow on each other as in Keras, whatever the shape."""
        return not self.gates and self.permutation == tuple(range(len(self.permutation)))

    def onnx_shape(self, keras_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in ONNX order of a weight of this Keras shape."""
        sizes = iter([keras_shape[axis] for axis in self.permutation])
        return tuple(math.prod(islice(sizes, count)) for count in self.groups or (1,) * len(self.permutation))

    def to_onnx(self, array: Array) -> Array:
        """The weight in ONNX order, contiguous and aligned, as an array in a file need not be."""
        ordered = _in_blocks(array, self.gates).transpose(self.permutation)
        return _contiguous(ordered).reshape(self.onnx_shape(array.shape))

    def to_keras(self, array: Array, keras_shape: Sequence[int]) -> Array:
        """The weight in Keras order, contiguous: the inverse of `to_onnx`.

        Args:
            keras_shape: of the result; which sizes an axis was merged from does not show in the array.
        """
        apart = array.reshape([keras_shape[axis] for axis in self.permutation])
        ordered = apart.transpose([self.permutation.index(axis) for axis in range(len(self.permutation))])
        whole = _in_blocks(ordered, [self.gates.index(gate) for gate in range(len(self.gates))])
        return _contiguous(whole).reshape(keras_shape)  # which NumPy gives an axis where it has none


TILE = 64
"""Entries of an axis that are copied at once: the rows that they are read from stay in the processor's cache."""


def _contiguous(view: Array) -> Array:
    """A transposed array in one piece. In tiles, which for large kernels takes half the time of NumPy's own order."""
    if view.ndim < 2 or view.flags.c_contiguous:
        return np.require(view, requirements=("C", "A"))
    copy = np.empty(view.shape, view.dtype)
    for row in range(0, view.shape[0], TILE):
        for column in range(0, view.shape[1], TILE):
            tile = slice(row, row + TILE), slice(column, column + TILE)
            copy[tile] = view[tile]
    return copy


def _in_blocks(array: Array, order: Sequence[int]) -> Array:
    """The array with the equal blocks of its last axis in this order; itself without an order."""
    if not order:
        return array
    blocks = array.reshape(*array.shape[:-1], len(order), -1)
    return blocks[..., list(order), :].reshape(array.shape)


VECTOR = AxisOrder((0,))
"""Biases, scales and running statistics: (channels,) in both."""

SCALAR = AxisOrder((), groups=(0,))
"""Keras () -> ONNX (1,), as torch has it: a number without axes is a constant."""

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
    order = (spatial_rank, spatial_rank + 1, *range(spatial_rank))
    return AxisOrder(order, groups=(2, 0, *(1,) * spatial_rank))


LSTM_GATES = (0, 3, 1, 2)
"""ONNX' order of the gates, input, output, forget, cell, by their numbers in Keras: input, forget, cell, output."""


def recurrent_kernel(gates: tuple[int, ...] = ()) -> AxisOrder:
    """The order of both kernels of a recurrent cell: Keras (in, gates * units) -> ONNX (1, gates * units, in).

    Args:
        gates: Keras' number of the gate that stands at each place in ONNX; empty if the two have one order.
    """
    return AxisOrder((1, 0), groups=(0, 1, 1), gates=gates)


def recurrent_bias(rank: int, gates: tuple[int, ...] = ()) -> AxisOrder:
    """The order of a recurrent cell's bias: Keras (gates * units,) or (2, gates * units) -> ONNX (1, all of them)."""
    return AxisOrder(tuple(range(rank)), groups=(0, rank), gates=gates)


def input_heads(rank: int) -> AxisOrder:
    """The order of a kernel into the heads of attention: Keras (in, heads, size) -> ONNX (heads * size, in)."""
    return AxisOrder((*range(1, rank), 0), groups=(rank - 1, 1))


def output_heads(rank: int) -> AxisOrder:
    """The order of a kernel out of the heads of attention: Keras (heads, size, out...) -> ONNX (out, heads * size)."""
    return AxisOrder((*range(2, rank), 0, 1), groups=(rank - 2, 2))


def head_vectors(rank: int) -> AxisOrder:
    """The order of a bias of such a kernel: Keras (heads, size) or (out...) -> ONNX, as one axis."""
    return VECTOR if rank == 1 else AxisOrder(tuple(range(rank)), groups=(rank,))
