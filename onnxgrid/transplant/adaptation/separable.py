"""Linear maps along single axes of an array."""

from collections.abc import Mapping

import numpy as np

from onnxgrid.transplant.adaptation.rule import Array

__all__ = ["map_axes"]


def map_axes(values: Array, matrices: Mapping[int, Array]) -> Array:
    """The array, with each of these axes of size n multiplied by its matrix (m, n), in the array's type."""
    for axis, matrix in matrices.items():
        values = np.moveaxis(np.tensordot(values, matrix.astype(values.dtype), axes=(axis, 1)), -1, axis)
    return np.ascontiguousarray(values)
