"""Arrays read as class indices."""

import numpy as np
import numpy.typing as npt

from onnxgrid.data.samples import Array
from onnxgrid.errors import DataError

__all__ = ["class_map"]

TOLERANCE = 1e-3
"""How far a class index may be from a whole number. The step of an 8-bit image, 1/255, must be further off."""


def class_map(values: Array, *, input_shape: tuple[int, ...], place: str, fix: str) -> npt.NDArray[np.int64]:
    """The values as whole numbers, without channel axis: (space...), or () for one label.

    A leading axis of size 1 is dropped, unless the shape already is that of the input's space.

    Args:
        fix: what to do if a value is not whole.

    Raises:
        DataError: if a value is not whole.
    """
    if values.shape[:1] == (1,) and values.shape != input_shape[1:]:
        values = values.reshape(values.shape[1:])
    rounded = np.asarray(np.rint(values))
    off = ~(np.abs(values - rounded) <= TOLERANCE)  # so written, NaN is off too
    if off.any():
        wrong = values[off][0]
        raise DataError(f"holds {wrong:.4g} where a class index is needed", place=place, fix=fix)
    return rounded.astype(np.int64)
