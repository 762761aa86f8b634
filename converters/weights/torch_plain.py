"""What checkpoints often hold beside tensors and is plain data: numbers of NumPy, and the options of a program.

torch's reader for strangers' files takes them where it is told to. NumPy's own functions for that take layouts from the
file, and with them addresses of memory; so numbers are made here, of their type's name and their bytes.
"""

import argparse
import contextlib
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["PLAIN", "plain_taken"]

KINDS = "fciub"

LONGEST_NAME = 4

BYTE_ORDERS = ("<", ">", "=", "|")


class _NumberType:
    """What a pickle says of a type of NumPy. Raises UnpicklingError unless it is one of numbers."""

    def __init__(self, name: Any, *_flags: Any) -> None:
        if not isinstance(name, str) or len(name) > LONGEST_NAME or name[:1] not in KINDS or not name[1:].isdecimal():
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


PLAIN: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": _NumberType,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
}
"""What of Python a pickle may name beside what torch takes, and what is used for it."""


def plain_taken() -> contextlib.AbstractContextManager[Any]:
    """A context in which torch reads these too."""
    from torch.serialization import safe_globals

    return safe_globals([(use, name) for name, use in PLAIN.items()])
