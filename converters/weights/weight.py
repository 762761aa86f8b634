"""One named array of a weight file, described at once and read when it is needed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from converters.errors import WeightFileError

__all__ = ["FLOAT_DTYPES", "Array", "Weight", "Weights", "collect_weights"]

Array = npt.NDArray[Any]

FLOAT_DTYPES = frozenset(np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))
"""The types between which values may be cast; others (integers, 8-bit floats) need a scale that no file here holds."""


@dataclass(frozen=True)
class Weight:
    """A named array of a file.

    Args:
        name: `<layer>.<parameter>`, as the file spells it unless `stored_name` does.
        shape: in ONNX/torch axis order.
        dtype: as stored; `ml_dtypes.bfloat16` for bfloat16.
        read: gives the values in `shape` and `dtype`, possibly read-only; raises WeightFileError.
        file: the file's name, for error messages.
        stored_name: what the file calls it, where that is another name.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array] = field(repr=False, compare=False)
    file: str
    stored_name: str | None = None

    @property
    def place(self) -> str:
        return f"{self.file}, tensor '{self.stored_name or self.name}'"

    def values(self, dtype: npt.DTypeLike) -> Array:
        """The values, cast to `dtype`; NaN and infinity stay what they are.

        Raises:
            WeightFileError: if the cast is not one between floats, or a finite value is too large for `dtype`.
        """
        wanted = np.dtype(dtype)
        if self.dtype == wanted:
            return self.read()
        if not {self.dtype, wanted} <= FLOAT_DTYPES:
            raise WeightFileError(
                f"{self.dtype} cannot be cast to {wanted}",
                place=self.place,
                fix="Give a file whose weights are float16, bfloat16, float32 or float64.",
            )
        stored = self.read()
        with np.errstate(over="ignore"):
            cast = stored.astype(wanted)
        overflowed = int(np.count_nonzero(np.isfinite(stored) & ~np.isfinite(cast)))
        if overflowed:
            raise WeightFileError(
                f"{overflowed} of {stored.size} values are too large for {wanted}",
                place=self.place,
                fix=f"Use a target whose weights are {self.dtype}.",
            )
        return cast


Weights = Mapping[str, Weight]
"""The weights of one file by name, in the file's order."""


def collect_weights(weights: Iterable[Weight]) -> Weights:
    """The weights by name, in the order given, not to be changed.

    Raises:
        WeightFileError: if two have one name.
    """
    collected: dict[str, Weight] = {}
    for weight in weights:
        if weight.name in collected:
            raise WeightFileError(
                "two tensors have this name", place=weight.place, fix="Write the file anew, each name once."
            )
        collected[weight.name] = weight
    return MappingProxyType(collected)
