"""Kernels for a grid twice as fine, such that the coarse kernel is their Galerkin coarsening.

Haber, Ruthotto, Holtham, Jun: "Learning across scales: a multiscale method for convolution neural networks", 2017
(arXiv 1703.02009): an operator K on the fine grid acts on the coarse one as R K P, with P the linear prolongation and R
the restriction by full weighting. Here R K P is given, and K is wanted: a small linear system for each axis.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.kernels import is_kernel, kernel_sizes
from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step, adaptation_rule
from onnxgrid.transplant.adaptation.separable import map_axes

__all__ = ["coarsening_matrix", "galerkin"]

PROLONGATION = np.array([1, 2, 1]) / 2
RESTRICTION = np.array([1, 2, 1]) / 4

SIZES = {3: (3,), 5: (5, 7)}
"""Coarse size -> fine sizes from which R K P reaches every cell of the coarse kernel and none outside. Wider kernels
couple coarse points that the coarse kernel does not."""


@adaptation_rule("galerkin")
def galerkin(now: Slot, target: Slot) -> Step | None:
    """The kernel K for a grid twice as fine whose coarsening R K P is the kernel that is given.

    Preserved: prolonging a field, convolving it with K and restricting the result is what the given kernel does on the
    coarse grid; so is the response to constants. Applies to kernels of the same size too. An axis of size 1 stays as it
    is: a map from point to point is the same on every grid. Not for convolutions that leave points out, or transposed.
    """
    if not is_kernel(target) or not is_kernel(now) or len(now.shape) != len(target.shape):
        return None
    if target.use is not None and not (target.use.op_type == "Conv" and target.use.dense_grid):
        return None
    before, after = kernel_sizes(now), kernel_sizes(target)
    pairs = list(zip(before, after, strict=True))
    if not all((size, wanted) == (1, 1) or wanted in SIZES.get(size, ()) for size, wanted in pairs):
        return None
    matrices = {
        axis: np.linalg.pinv(coarsening_matrix(wanted)) for axis, (_size, wanted) in enumerate(pairs, 2) if wanted > 1
    }
    if not matrices:
        return None
    detail = f"kernel {before} -> {after} on a grid twice as fine"
    return Step("galerkin", (*now.shape[:2], *after), detail, partial(_map, matrices=matrices))


def _map(values: Array, _read_target: ReadTarget, *, matrices: Mapping[int, Array]) -> Array:
    return map_axes(values, matrices)


def coarsening_matrix(size: int) -> Array:
    """(coarse size, size): what R K P is for a kernel K of `size` cells, along one axis."""
    unit_responses = []
    for kernel in np.eye(size):
        fine = np.convolve(np.convolve(PROLONGATION, kernel), RESTRICTION)  # centred, at the points -reach ... reach
        reach = len(fine) // 2
        unit_responses.append(fine[reach % 2 :: 2])  # coarse points are the even ones
    return np.stack(unit_responses, axis=1)
