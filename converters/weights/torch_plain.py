"""What checkpoints often hold beside tensors and is plain data: numbers and arrays of NumPy, and a program's options.

torch's reader for strangers' files takes them where it is told to. NumPy's own functions for that take layouts from the
file, and with them addresses of memory; so numbers and arrays are made here, of their type's name, their shape and
their bytes, which must be exactly as many as these need.
"""

import argparse
import contextlib
import pickle
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from converters.weights.weight import Array

__all__ = ["NUMBER_KINDS", "PLAIN", "PlainArray", "plain_taken"]

NUMBER_KINDS = "fciub"
"""Of types of NumPy: the first letters of their names."""

LONGEST_NAME = 4

BYTE_ORDERS = ("<", ">", "=", "|")


class _NumberType:
    """What a pickle says of a type of NumPy. Raises UnpicklingError unless it is one of numbers."""

    def __init__(self, name: Any, *_flags: Any) -> None:
        if (
            not isinstance(name, str)
            or len(name) > LONGEST_NAME
            or name[:1] not in NUMBER_KINDS
            or not name[1:].isdecimal()
        ):
            raise pickle.UnpicklingError(f"{name!r} is no type of numbers")
        try:
            self.dtype: np.dtype[Any] = np.dtype(name)
        except TypeError:
            raise pickle.UnpicklingError(f"{name!r} is no type of numbers") from None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in BYTE_ORDERS:
            raise pickle.UnpicklingError("a type of numbers has no byte order")
        self.dtype = self.dtype.newbyteorder(state[1])

    def __reduce__(self) -> Any:
        return self.dtype.__reduce__()


def _number(of: Any, content: Any) -> Any:
    """A number of NumPy."""
    if not isinstance(of, _NumberType) or not isinstance(content, bytes) or len(content) != of.dtype.itemsize:
        raise pickle.UnpicklingError("a number of NumPy is not whole")
    return np.frombuffer(content, of.dtype)[0]


class PlainArray:
    """An array of numbers in a pickle; it is pickled again as an array of NumPy."""

    values: Array = np.empty(0)

    @classmethod
    def of(cls, values: Array) -> "PlainArray":
        """One that holds these numbers."""
        made = cls()
        made.values = values
        return made

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array of NumPy is not whole")
        _version, shape, of, is_fortran, content = state
        if (
            not isinstance(of, _NumberType)
            or not isinstance(content, bytes)
            or not isinstance(shape, tuple)
            or not all(type(size) is int and size >= 0 for size in shape)
            or prod(shape) * of.dtype.itemsize != len(content)
        ):
            raise pickle.UnpicklingError("an array of NumPy is not one of numbers, or not whole")
        self.values = np.frombuffer(content, of.dtype).reshape(shape, order="F" if is_fortran else "C")

    def __reduce__(self) -> Any:
        return self.values.__reduce__()


def _array(kind: Any, shape: Any, code: Any) -> PlainArray:
    """An array that gets its content later, as NumPy's `_reconstruct` makes it."""
    if kind is not PlainArray or shape != (0,) or code != b"b":
        raise pickle.UnpicklingError("an array of NumPy begins otherwise than NumPy writes it")
    return PlainArray()


def _no_bytes() -> bytes:
    """What old protocols of pickle call for the content of an array without entries."""
    return b""


PLAIN: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": _NumberType,
    "numpy.ndarray": PlainArray,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy._core.multiarray._reconstruct": _array,
    "builtins.bytes": _no_bytes,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
}
"""What of Python a pickle may name beside what torch takes, and what is used for it."""


def plain_taken() -> contextlib.AbstractContextManager[Any]:
    """A context in which torch reads these too."""
    from torch.serialization import safe_globals

    return safe_globals([(use, name) for name, use in PLAIN.items()])
