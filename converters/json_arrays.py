"""Arrays as Keras' JSON writes them: a number, lists of numbers of one shape, or Keras 3's object around them."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "read_array"]

Array = npt.NDArray[Any]
"""Of bool, int64 or float32."""

ARRAY_CLASSES = frozenset({"__ndarray__", "__numpy__", "__tensor__"})
"""Keras 3's names for an array or a constant tensor of its backend."""

TYPES = {"b": np.bool_, "i": np.int64, "f": np.float32}
"""Kind of a NumPy type -> the type that stands for all of that kind."""

MAX_WHOLE = 2**53
"""Beyond it floats do not hold every integer."""

KINDS = {"bool": "b", "int": "i", "uint": "i", "float": "f", "bfloat": "f"}
"""Name of a type without its bits -> kind."""


def read_array(value: Any) -> Array | None:
    """The array; None if it is none, or holds something else than finite numbers that float32 and int64 can hold."""
    kind = None
    if isinstance(value, dict):
        class_name, config = value.get("class_name"), value.get("config")
        if not isinstance(class_name, str) or class_name not in ARRAY_CLASSES or not isinstance(config, dict):
            return None
        value, dtype = config.get("value"), config.get("dtype")
        kind = KINDS.get(dtype.rstrip("0123456789")) if isinstance(dtype, str) else None
    if not isinstance(value, bool | int | float | list | tuple):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths, or too deep
        return None
    if array.dtype.kind not in TYPES or array.size == 0:
        return None
    if array.dtype.kind == "f" and not (np.abs(array) <= np.finfo(np.float32).max).all():
        return None
    if kind == "i" and not (np.abs(array) < MAX_WHOLE).all():
        return None
    return array.astype(TYPES[kind or array.dtype.kind])
