"""Kernels of another size: padded and cropped, or resampled.

A kernel stands as (out, in, k1...kn), a transposed one as (in, out, k1...kn): the sizes come behind the channels.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step, adaptation_rule
from onnxgrid.transplant.adaptation.separable import map_axes

__all__ = ["center", "centering_matrix", "interpolate", "interpolation_matrix", "is_kernel", "kernel_sizes"]

MAX_RANK = 5
"""Three axes of a kernel besides the channels."""


def is_kernel(slot: Slot) -> bool:
    """Whether an array is a kernel: as its graph says; without a graph, as its rank and its name suggest."""
    rank = len(slot.shape)
    if slot.use is not None:
        return slot.use.is_kernel and 3 <= rank <= MAX_RANK
    return 4 <= rank <= MAX_RANK or (rank == 3 and slot.name.endswith(".weight"))


def kernel_sizes(slot: Slot) -> tuple[int, ...]:
    """The sizes of a kernel without the channels."""
    return slot.shape[2:]


@adaptation_rule("center")
def center(now: Slot, target: Slot) -> Step | None:
    """Pad a kernel with zeros, or crop it, around its centre.

    Of a padded kernel, a convolution that keeps the size ("same") has the output it had before. The centre is the cell
    k where Keras' "same" has it: (k - 1) // 2, left of the middle in kernels of even size.
    """
    return _resized("center", now, target, centering_matrix)


@adaptation_rule("interpolate")
def interpolate(now: Slot, target: Slot) -> Step | None:
    """Resample a kernel linearly: its first and its last cell stay where they are in space, the grid becomes another.

    The response to constants is that of the kernel before; and to linear functions of coordinates that run from the
    first to the last cell of either kernel, unless one has a single cell.
    """
    return _resized("interpolate", now, target, interpolation_matrix)


def _resized(rule: str, now: Slot, target: Slot, matrix: Callable[[int, int], Array]) -> Step | None:
    if not is_kernel(target) or not is_kernel(now) or len(now.shape) != len(target.shape):
        return None
    before, after = kernel_sizes(now), kernel_sizes(target)
    matrices = {
        axis: matrix(size, wanted)
        for axis, (size, wanted) in enumerate(zip(before, after, strict=True), start=2)
        if size != wanted
    }
    if not matrices or 0 in (*before, *after):
        return None
    return Step(rule, (*now.shape[:2], *after), f"kernel {before} -> {after}", partial(_map, matrices=matrices))


def _map(values: Array, _read_target: ReadTarget, *, matrices: Mapping[int, Array]) -> Array:
    return map_axes(values, matrices)


def centering_matrix(size: int, wanted: int) -> Array:
    """(wanted, size): ones where a cell of the kernel before stands in that afterwards."""
    return np.eye(wanted, size, k=(size - 1) // 2 - (wanted - 1) // 2)


def interpolation_matrix(size: int, wanted: int) -> Array:
    """(wanted, size): linear interpolation from `size` to `wanted` evenly spaced nodes over the same length, scaled by
    size / wanted, and changed by as little as gives every kernel back its sum and its first moment.
    """
    before, after = _nodes(size), _nodes(wanted)
    linear = np.stack([np.interp(after, before, unit) for unit in np.eye(size)], axis=1) * (size / wanted)
    moments_before, moments_after = np.stack([np.ones(size), before]), np.stack([np.ones(wanted), after])
    corrected: Array = linear + np.linalg.pinv(moments_after) @ (moments_before - moments_after @ linear)
    return corrected


def _nodes(count: int) -> Array:
    """Evenly spaced from -1 to 1; one node stands at 0."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
