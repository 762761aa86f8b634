"""The loader of NumPy files: a .npy file is one sample, every array of an .npz file is one. Values stay as they are.

Headers are read here, before NumPy sees the values: each fault is told for what it is, and nothing is unpickled.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from onnxgrid.data.files import find_files
from onnxgrid.data.samples import Array
from onnxgrid.errors import DataError

__all__ = ["NumpyArrays"]

SUFFIXES = frozenset({".npy", ".npz"})
NUMBER_KINDS = "biuf"
"""numpy's codes for boolean, signed, unsigned and floating-point."""
MAX_OPEN_ARCHIVES = 16
"""An open .npz keeps its table of contents in memory and one file handle."""

HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
READ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class _Found:
    """One array; `key` is its name in an .npz, None for a .npy."""

    file: Path
    key: str | None
    shape: tuple[int, ...]

    @property
    def place(self) -> str:
        return str(self.file) if self.key is None else f"{self.file}, array '{self.key}'"


class NumpyArrays:
    """The arrays of the .npy and .npz files under a directory, in their own number type."""

    def __init__(self, root: Path, *, memory_map: bool) -> None:
        """Find the arrays and compare the shapes that their headers tell.

        Args:
            memory_map: read .npy files through the page cache, without a copy of their own.

        Raises:
            DataError: if there is none, one is broken or holds no numbers, or two differ in shape.
        """
        found: dict[str, _Found] = {}
        for name, path in find_files(root, SUFFIXES, what="NumPy files").items():
            for array in _arrays(path):
                found[name if array.key is None else f"{name}/{array.key}"] = array
        ordered = dict(sorted(found.items(), key=lambda item: item[0].encode(errors="surrogateescape")))
        self.names, self._found = tuple(ordered), tuple(ordered.values())
        self.files = tuple(array.file for array in self._found)
        self._mode: Any = "r" if memory_map else None
        self._archive = lru_cache(MAX_OPEN_ARCHIVES)(np.load)
        for array in self._found:
            _check_shape(array, array.shape, self._found[0])

    @property
    def shape(self) -> tuple[int, ...]:
        return self._found[0].shape

    def place(self, index: int) -> str:
        return self._found[index].place

    def read(self, index: int) -> Array:
        found = self._found[index]
        try:
            if found.key is None:
                values = np.load(found.file, mmap_mode=self._mode, allow_pickle=False)
            else:
                values = self._archive(found.file)[found.key]
        except READ_ERRORS as error:
            raise _broken(found.place, str(error)) from error
        _check_shape(found, values.shape, self._found[0])
        return values  # type: ignore[no-any-return]  # np.load is untyped


def _check_shape(array: _Found, shape: tuple[int, ...], first: _Found) -> None:
    if shape != first.shape:
        raise DataError(
            f"this array has shape {shape}, but {first.place} has {first.shape}",
            place=array.place,
            fix="Give arrays of one shape: one batch is one array.",
        )


def _arrays(path: Path) -> Iterator[_Found]:
    """The arrays of a file, by their headers."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as stream:
            yield _Found(path, None, _checked_shape(stream, path.stat().st_size, str(path)))
        return
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise _broken(str(path), "not a whole .npz archive") from None
    with archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if not members:
            raise DataError("holds no array", place=str(path), fix="Put arrays into it, or take it away.")
        for member in members:
            key = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                yield _Found(path, key, _checked_shape(stream, member.file_size, f"{path}, array '{key}'"))


def _checked_shape(stream: IO[bytes], size: int, place: str) -> tuple[int, ...]:
    """The shape in an array's header, if `size` bytes can hold such an array and it holds numbers."""
    try:
        version = npy.read_magic(stream)
        if version not in HEADER_READERS:
            raise _broken(place, f"format version {version[0]}.{version[1]} is not for plain numbers")
        shape, _fortran_order, dtype = HEADER_READERS[version](stream)
    except READ_ERRORS as error:
        raise _broken(place, str(error)) from error
    if dtype.hasobject:
        fix = "Save it as an array of numbers; pickled objects are never loaded."
        raise DataError("holds Python objects", place=place, fix=fix)
    if dtype.kind not in NUMBER_KINDS:
        raise DataError(f"holds {dtype}", place=place, fix="Save it as booleans, integers or floating-point numbers.")
    needed, given = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, size - stream.tell()
    if given < needed:
        raise _broken(place, f"it is cut off: {needed} bytes of values announced, {given} there")
    return tuple(shape)


def _broken(place: str, reason: str) -> DataError:
    return DataError(f"cannot be read: {reason}", place=place, fix="Write the file anew, or take it away.")
