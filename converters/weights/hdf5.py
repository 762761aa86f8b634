"""HDF5 files of strangers: opened for reading, walked without leaving the file, arrays checked before they are read.

Refused are links, datasets whose data lie in other files, datasets that were declared and never written (HDF5 reads
them as zeros), and those that would take much more memory than the file gives reason for. h5py is imported when a file
is opened.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from converters.errors import WeightFileError
from converters.weights.expansion import MAX_FREE_EXPANSION_BYTES, expansion_problem
from converters.weights.stored import ByteRange, FileArray, OpenFile
from converters.weights.weight import Array, Weight

if TYPE_CHECKING:
    import h5py

__all__ = [
    "Hdf5Array",
    "Hdf5Source",
    "address",
    "children",
    "dataset_weight",
    "find",
    "open_hdf5",
    "text_attribute",
    "texts_attribute",
]

IN_PLACE = 0x0002 | 0x0004
"""HDF5's `H5LT_FILE_IMAGE_DONT_COPY` and `H5LT_FILE_IMAGE_DONT_RELEASE`: it reads bytes where they are."""

WHOLE = "Give a whole file."
WRITE_ANEW = "Save the weights anew, as Keras does it: each array whole, in this one file."


@dataclass(frozen=True)
class Hdf5Source:
    """An HDF5 file.

    Args:
        name: in errors.
        content: its bytes, mapped or not.
        lies: where they lie in a file; None if they are compressed there.
    """

    name: str
    content: Array = field(repr=False)
    lies: ByteRange | None = field(repr=False)

    @classmethod
    def of(cls, path: Path) -> "Hdf5Source":
        """A file on disk that is not empty; its bytes are read when they are used."""
        file = OpenFile(path)
        return cls(str(path), file.mapped(), ByteRange(file, 0, file.size))

    def require_unchanged(self) -> None:
        """Nothing, if the file in which the bytes lie is what it was. Raises WeightFileError if it is not."""
        if self.lies is not None:
            self.lies.file.require_unchanged()

    def values(self, start: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """An array that lies in one piece from this byte on, not copied: it may begin anywhere, unaligned.

        Raises:
            ValueError: if the file ends before.
        """
        part = np.asarray(self.content[start : start + prod(shape) * dtype.itemsize])
        return part.view(dtype).reshape(shape)


@dataclass(frozen=True)
class Hdf5Array(FileArray):
    """What reads a dataset.

    Args:
        path: of the dataset in the file.
        start: the byte of the HDF5 file at which its values begin, if they lie there in one piece, uncompressed.
        stored_dtype: the type as HDF5 has it.
        read: reads it.
    """

    path: str
    start: int | None
    stored_dtype: np.dtype[Any]
    read: Callable[[], Array] = field(repr=False)

    @property
    def range(self) -> ByteRange | None:
        return self.read.range if isinstance(self.read, FileArray) else None

    def __call__(self) -> Array:
        return self.read()

    def pieces(self) -> Iterator[Array]:
        yield from self.read.pieces() if isinstance(self.read, FileArray) else [self.read()]


def open_hdf5(source: Hdf5Source) -> "h5py.File":
    """The file, open for reading until nothing refers to it; `source` must be kept as long.

    Raises:
        WeightFileError: if it is no HDF5 file, or only a part of one.
    """
    import h5py

    try:
        return h5py.File(h5py.h5f.open_file_image(source.content, flags=IN_PLACE))
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightFileError("is not an HDF5 file, or only a part of one", place=source.name, fix=WHOLE) from error


def children(group: "h5py.Group", file: Hdf5Source) -> Iterator[tuple[str, Any]]:
    """The groups and datasets in a group, with their names in it; numbers in names count as numbers.

    Raises:
        WeightFileError: if one of them is a link to elsewhere, or cannot be read.
    """
    links: list[tuple[str, Any]] = []

    def add(encoded: bytes, link: Any) -> None:
        links.append((_text(encoded), link.type))

    _guarded(lambda: group.id.links.iterate(add, info=True), file, lambda: str(group.name))
    for name, kind in sorted(links, key=lambda link: _natural(link[0])):
        yield name, _opened(group, name, kind, file)


def address(group: "h5py.Group", file: Hdf5Source) -> int:
    """Where a group lies in its file: two ways to one group lead to one address."""
    import h5py

    return int(_guarded(lambda: h5py.h5o.get_info(group.id).addr, file, lambda: str(group.name)))


def find(group: "h5py.Group", path: str, file: Hdf5Source) -> Any:
    """The group or dataset at a path below a group, None if there is none.

    Raises:
        WeightFileError: if the way there leads over a link, or is damaged.
    """
    import h5py

    found: Any = group
    for name in path.split("/"):
        if not isinstance(found, h5py.Group) or not name:
            return None
        found = _member(found, name, file)
    return found


def _member(group: "h5py.Group", name: str, file: Hdf5Source) -> Any:
    """The group or dataset of a name in a group, None if there is none."""
    encoded, links = _encoded(name), group.id.links
    kind = _guarded(
        lambda: links.get_info(encoded).type if links.exists(encoded) else None, file, lambda: _path(group, name)
    )
    return None if kind is None else _opened(group, name, kind, file)


def _opened(group: "h5py.Group", name: str, kind: int, file: Hdf5Source) -> Any:
    """What a link of this kind in a group leads to.

    By h5py's lower level, as its upper one takes twice as long, and a network has thousands of these.
    """
    import h5py

    def place() -> str:
        return _path(group, name)

    if kind != h5py.h5l.TYPE_HARD:
        link = _guarded(partial(group.get, name, getlink=True, getclass=True), file, place)
        raise WeightFileError(
            f"is a link ({link.__name__}), which is not followed", place=_place(file, place()), fix=WRITE_ANEW
        )
    opened = _guarded(lambda: h5py.h5o.open(group.id, _encoded(name)), file, place)
    if isinstance(opened, h5py.h5g.GroupID):
        return h5py.Group(opened)
    return h5py.Dataset(opened) if isinstance(opened, h5py.h5d.DatasetID) else h5py.Datatype(opened)


def _path(group: "h5py.Group", name: str) -> str:
    return f"{str(group.name).rstrip('/')}/{name}"


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def texts_attribute(group: "h5py.Group", name: str, file: Hdf5Source) -> list[str] | None:
    """A list of texts in an attribute, None if it is not there.

    Keras cuts a list of more than 64 KiB into pieces `name0`, `name1`, ...
    """
    whole = _texts(group, name, file)
    if whole is not None:
        return whole
    pieces: list[str] = []
    number = 0
    while (piece := _texts(group, f"{name}{number}", file)) is not None:
        pieces += piece
        number += 1
    return pieces if number else None


def text_attribute(group: "h5py.Group", name: str, file: Hdf5Source) -> str | None:
    """A text in an attribute, None if it is not there."""
    texts = _texts(group, name, file)
    return texts[0] if texts else None


def dataset_weight(dataset: "h5py.Dataset", file: Hdf5Source) -> Weight:
    """A dataset as a weight named by its path in the file, its axes as they are stored.

    Raises:
        WeightFileError: if it is no array of numbers that lies whole in this file.
    """
    name = str(dataset.name).lstrip("/")
    place = _place(file, name)
    shape, dtype, as_stored = _guarded(lambda: _described(dataset), file, lambda: name)
    if dtype is None:
        raise WeightFileError(f"is of type {as_stored}, which is no array of numbers", place=place, fix=WRITE_ANEW)
    problem = _guarded(lambda: _missing_data(dataset, shape, as_stored.itemsize), file, lambda: name)
    if problem is not None:
        raise WeightFileError(problem, place=place, fix=WRITE_ANEW)

    start = _guarded(dataset.id.get_offset, file, lambda: name)
    read = _reading(dataset, file, start, shape, dtype, as_stored)
    return Weight(name, shape, dtype, Hdf5Array(name, start, as_stored, read), file.name)


def _reading(
    dataset: "h5py.Dataset",
    file: Hdf5Source,
    start: int | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    as_stored: np.dtype[Any],
) -> Callable[[], Array]:
    """What reads a dataset. HDF5 takes longer to prepare for that than to do it, and is left out where it can be."""
    count = prod(shape) * dtype.itemsize
    if start is not None and file.lies is not None and as_stored.isnative and start + count <= file.lies.length:
        return ByteRange(file.lies.file, file.lies.start + start, count).stored(shape, dtype)

    def stored() -> Array:
        return np.asarray(dataset[()]) if start is None else file.values(start, as_stored, shape)

    def read() -> Array:
        file.require_unchanged()  # before bytes are asked for that may be mapped no more, and when they were read
        values: Array = _guarded(stored, file, lambda: str(dataset.name))
        file.require_unchanged()
        return values.view(dtype) if dtype.kind == "V" else values.astype(dtype, copy=False)  # V: bfloat16

    return read


def _described(dataset: Any) -> tuple[tuple[int, ...], np.dtype[Any] | None, Any]:
    """The shape of the values, their type, None if they are no numbers, and what HDF5 says of it."""
    shape = dataset.shape
    if shape is None:
        return (), None, "Empty"
    shape = tuple(map(int, shape))
    stored = dataset.dtype
    if stored.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16":  # so Keras marks it
        return shape, np.dtype(ml_dtypes.bfloat16), stored
    return shape, (stored.newbyteorder("=") if stored.kind in "fiub" else None), stored


def _missing_data(dataset: Any, shape: tuple[int, ...], item_bytes: int) -> str | None:
    """Why the data cannot be read in good faith, or None."""
    import h5py

    if dataset.is_virtual:
        return "is a virtual dataset, put together from other files"
    if dataset.external:
        return f"keeps its data in another file, '{dataset.external[0][0]}'"
    size, stored = prod(shape) * item_bytes, dataset.id.get_storage_size()
    if size == 0:
        return None
    if stored == 0:
        return f"has the shape {shape} but no data"
    if stored > MAX_FREE_EXPANSION_BYTES and stored > h5py.h5i.get_file_id(dataset.id).get_filesize():
        return f"is said to have {stored} bytes of data, more than the file"
    if dataset.chunks is None:
        return None if stored >= size else f"has {stored} bytes of data, and its shape {shape} needs {size}"
    problem = expansion_problem(size, stored)
    if problem is not None:
        return problem
    chunks = prod(-(-axis // chunk) for axis, chunk in zip(shape, dataset.chunks, strict=True))
    written = dataset.id.get_num_chunks()
    return None if written == chunks else f"has {written} of its {chunks} chunks of data"


def _texts(group: Any, name: str, file: Hdf5Source) -> list[str] | None:
    values = _guarded(lambda: group.attrs.get(name), file, lambda: f"{group.name}@{name}")
    if values is None:
        return None
    if isinstance(values, str):
        return [values]
    return [_text(value) for value in np.atleast_1d(np.asarray(values, dtype=object)).ravel()]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _natural(name: str) -> tuple[str, int]:
    """Sorts `conv2d_2` before `conv2d_10`, and `2` before `10`."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0) if len(name) < 64 else 0


def _guarded(read: Callable[[], Any], file: Hdf5Source, name: Callable[[], str]) -> Any:
    """What `read` gives; what HDF5 finds wrong with the file on the way is a WeightFileError, of this name."""
    try:
        return read()
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightFileError(f"cannot be read ({first_line})", place=_place(file, name()), fix=WHOLE) from error


def _place(file: Hdf5Source, name: str) -> str:
    return f"{file.name}, tensor '{name.lstrip('/')}'"
