"""One named array of a weight file, described at once and read when it is needed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
import numpy.typing as npt

from converters.errors import WeightFileError
from converters.weights.stored import ByteRange, FileArray

__all__ = [
    "COUNTER",
    "FLOAT_DTYPES",
    "Array",
    "Weight",
    "Weights",
    "as_bytes",
    "cast_weights",
    "collect_weights",
    "without_counters",
]

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
        read: gives the values in `shape` and `dtype`, possibly read-only; raises WeightFileError. A `FileArray`
            where they lie in a file as they are, so that they can be copied without being read.
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

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    @property
    def range(self) -> ByteRange | None:
        """Where the values lie in a file as `read` gives them; None if they lie in none."""
        return self.read.range if isinstance(self.read, FileArray) else None

    def values(self, dtype: npt.DTypeLike) -> Array:
        """The values, cast to `dtype`; NaN and infinity stay what they are.

        Raises:
            WeightFileError: if the cast is not one between floats, or a finite value is too large for `dtype`.
        """
        return self.cast(dtype).read()

    def cast(self, dtype: npt.DTypeLike) -> "Weight":
        """The weight with its values as of `values`; they are cast when they are read.

        Raises:
            WeightFileError: if the cast is not one between floats.
        """
        wanted = np.dtype(dtype)
        if self.dtype == wanted:
            return self
        if not {self.dtype, wanted} <= FLOAT_DTYPES:
            raise WeightFileError(
                f"{self.dtype} cannot be cast to {wanted}",
                place=self.place,
                fix="Give a file whose weights are float16, bfloat16, float32 or float64.",
            )
        return replace(self, dtype=wanted, read=_CastArray(self, wanted))

    def pieces(self) -> Iterator[Array]:
        """The values in C order, as arrays that follow on each other: several where they need not be read at once."""
        if isinstance(self.read, FileArray):
            yield from self.read.pieces()
        else:
            yield self.read()

    def tofile(self, file: BinaryIO) -> None:
        """Write the bytes of the values, in C order and little-endian; never all in memory if it can be avoided.

        Raises:
            WeightFileError: if they cannot be read.
            OSError: if the file cannot be written.
        """
        if self.range is not None:
            self.range.tofile(file)
            return
        for piece in self.pieces():
            file.write(as_bytes(piece))


@dataclass(frozen=True)
class _CastArray(FileArray):
    """What reads a weight and casts its values."""

    weight: Weight
    dtype: np.dtype[Any]

    @property
    def range(self) -> None:
        return None

    def __call__(self) -> Array:
        stored = self.weight.read()
        cast, overflowed = self._cast(stored)
        self._refuse(overflowed)
        return cast

    def pieces(self) -> Iterator[Array]:
        overflowed = 0
        for stored in self.weight.pieces():
            cast, more = self._cast(stored)
            overflowed += more
            if not overflowed:
                yield cast
        self._refuse(overflowed)

    def _cast(self, stored: Array) -> tuple[Array, int]:
        """The values, and how many became infinite."""
        with np.errstate(over="ignore"):
            cast = stored.astype(self.dtype)
        return cast, int(np.count_nonzero(np.isfinite(stored) & ~np.isfinite(cast)))

    def _refuse(self, overflowed: int) -> None:
        if overflowed:
            weight = self.weight
            raise WeightFileError(
                f"{overflowed} of {int(np.prod(weight.shape))} values are too large for {self.dtype}",
                place=weight.place,
                fix=f"Use a target whose weights are {weight.dtype}.",
            )


def as_bytes(array: Array) -> memoryview:
    """The bytes of its values in C order, not copied where they lie so."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


Weights = Mapping[str, Weight]
"""The weights of one file by name, in the file's order."""


def cast_weights(weights: Weights, dtype: npt.DTypeLike) -> Weights:
    """The weights, all that are floats in this type; integers and 8-bit floats as they are."""
    return MappingProxyType(
        {name: weight.cast(dtype) if weight.dtype in FLOAT_DTYPES else weight for name, weight in weights.items()}
    )


COUNTER = ".num_batches_tracked"
"""torch's BatchNormalization counts its batches; no ONNX operator does, so this is not a weight."""


def without_counters(weights: Weights) -> Weights:
    """The weights of a file, without what only torch counts: such a number is none that a network computes with."""
    return MappingProxyType({name: weight for name, weight in weights.items() if not name.endswith(COUNTER)})


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
