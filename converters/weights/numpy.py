"""Weights in NumPy's files: `.npz`, where each member is one array and named by it, and `.npy`, named by its file.

Arrays are read from where they lie, unless the archive compresses them. Nothing is unpickled: an array of Python
objects is refused.
"""

import io
import zipfile
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.archive import Archive
from converters.weights.registry import Writing, reads, rewrites, writes
from converters.weights.stored import ByteRange, OpenFile
from converters.weights.weight import Array, Weight, Weights, as_bytes, collect_weights

__all__ = ["read_npy", "read_npz", "rewrite_npy", "rewrite_npz", "write_npy", "write_npz"]

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
            archive.range(name) or partial(archive.data, name),
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
    file = OpenFile(path)
    beginning = file.read(0, min(MAX_HEADER_BYTES, file.size)).tobytes()
    name = path.name[: -len(SUFFIX)]
    return collect_weights([_weight(name, beginning, file.size, ByteRange(file, 0, file.size), str(path))])


@writes(".npz")
def write_npz(path: Path, weights: Weights, _how: Writing) -> None:
    """Write an archive, one weight in memory at a time; the same weights give the same bytes."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name, weight in weights.items():
            member = zipfile.ZipInfo(f"{name}{SUFFIX}")  # of 1980: the time of writing is no part of the weights
            with archive.open(member, "w", force_zip64=True) as stream:
                _write_header(stream, weight)
                for piece in weight.pieces():
                    stream.write(as_bytes(piece))


@rewrites(".npz")
def rewrite_npz(path: Path, _like: Path, kept: Weights, changed: Weights, how: Writing) -> None:
    """Write an archive of arrays that are kept and changed ones, in the order of the former."""
    write_npz(path, {**kept, **changed}, how)


@writes(SUFFIX)
def write_npy(path: Path, weights: Weights, _how: Writing) -> None:
    """Write one array.

    Raises:
        WeightFileError: if there is not just one.
    """
    if len(weights) != 1:
        raise WeightFileError(
            f"holds one array, and there are {len(weights)} weights", place=str(path), fix="Write a .npz file."
        )
    (weight,) = weights.values()
    with path.open("r+b") as file:
        _write_header(file, weight)
        weight.tofile(file)


@rewrites(SUFFIX)
def rewrite_npy(path: Path, _like: Path, kept: Weights, changed: Weights, how: Writing) -> None:
    """Write the array that is changed, or kept."""
    write_npy(path, {**kept, **changed}, how)


def _write_header(file: IO[bytes], weight: Weight) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(weight.dtype),
        "fortran_order": False,
        "shape": weight.shape,
    }
    np.lib.format.write_array_header_1_0(file, described)


def _weight(name: str, beginning: bytes, size: int, data: ByteRange | Callable[[], Array], file: str) -> Weight:
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
    start, count = stream.tell(), prod(shape) * stored.itemsize
    if min(shape, default=0) < 0:
        raise WeightFileError(
            f"has the shape {shape}, which none can have", place=place, fix="Write it with numpy.save."
        )
    if start + count != size:
        raise WeightFileError(
            f"has {size - start} bytes of data, and its shape {shape} needs {count}",
            place=place,
            fix="Give a whole file.",
        )
    read: Callable[[], Array]
    if isinstance(data, ByteRange):
        lies = ByteRange(data.file, data.start + start, count)
        if not fortran and stored.isnative:
            read = lies.stored(shape, dtype)
        else:
            read = partial(_values, lies.read, 0, stored, dtype, shape, "F" if fortran else "C")
    else:
        read = partial(_values, data, start, stored, dtype, shape, "F" if fortran else "C")
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
