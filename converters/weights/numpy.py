"""Weights in NumPy's files: `.npz`, where each member is one array and named by it, and `.npy`, named by its file.

Arrays are mapped into memory, unless the archive compresses them. Nothing is unpickled: an array of Python objects is
refused.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.archive import Archive
from converters.weights.keras_names import NetworkLayer
from converters.weights.registry import reads, writes
from converters.weights.weight import Array, Weight, Weights, collect_weights

__all__ = ["read_npy", "read_npz", "write_npz"]

SUFFIX = ".npy"

MAX_HEADER_BYTES = 2**14
"""NumPy itself reads no longer ones of a stranger."""


@reads(".npz")
def read_npz(path: Path) -> Weights:
    """The arrays of an archive, in its order, under their names.

    Raises:
        WeightFileError: if the archive or an array in it is broken, or holds pickled objects.
    """
    archive = Archive(path)
    return collect_weights(
        _weight(
            name.removesuffix(SUFFIX),
            archive.beginning(name, MAX_HEADER_BYTES),
            archive.size(name),
            partial(archive.data, name),
            archive.file,
        )
        for name in archive.names
    )


@reads(SUFFIX)
def read_npy(path: Path) -> Weights:
    """One array, named by its file: `conv1.weight.npy` holds `conv1.weight`.

    Raises:
        WeightFileError: if it is broken, or holds pickled objects.
    """
    data: Array = np.memmap(path, np.uint8, "r")
    name = path.name[: -len(SUFFIX)]
    return collect_weights([_weight(name, bytes(data[:MAX_HEADER_BYTES]), data.size, lambda: data, str(path))])


@writes(".npz")
def write_npz(path: Path, weights: Weights, _network: Sequence[NetworkLayer]) -> None:
    """Write an archive, one weight in memory at a time; the same weights give the same bytes."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, weight in weights.items():
            member = zipfile.ZipInfo(f"{name}{SUFFIX}")  # of 1980: the time of writing is no part of the weights
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, weight.read(), allow_pickle=False)


def _weight(name: str, beginning: bytes, size: int, data: Callable[[], Array], file: str) -> Weight:
    place = f"{file}, tensor '{name}'"
    stream = io.BytesIO(beginning)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, stored = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, stored = np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # the header is a Python expression: a broken one can raise anything
        raise WeightFileError(
            "is no NumPy array, or one of a broken header", place=place, fix="Write it with numpy.save."
        ) from error
    if stored.hasobject:
        raise WeightFileError(
            "holds pickled Python objects, which are not read", place=place, fix="Write it as an array of numbers."
        )
    # NumPy has no name for bfloat16, and writes it as two bytes without a type.
    dtype = np.dtype(ml_dtypes.bfloat16) if stored.str.lstrip("<|>") == "V2" else stored.newbyteorder("=")
    if dtype.kind not in "fiub" and dtype != ml_dtypes.bfloat16:
        raise WeightFileError(f"is of type {stored}, which is no number", place=place, fix="Write it as numbers.")
    if min(shape, default=0) < 0 or stream.tell() + prod(shape) * stored.itemsize != size:
        raise WeightFileError(
            f"has {size - stream.tell()} bytes of data, and its shape {shape} needs {prod(shape) * stored.itemsize}",
            place=place,
            fix="Give a whole file.",
        )
    read = partial(_values, data, stream.tell(), stored, dtype, shape, "F" if fortran else "C")
    return Weight(name, shape, dtype, read, file)


def _values(
    data: Callable[[], Array],
    start: int,
    stored: np.dtype[Any],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: Any,
) -> Array:
    values: Array = data()[start:].view(stored).astype(stored.newbyteorder("="), copy=False)
    return values.view(dtype).reshape(shape, order=order)
