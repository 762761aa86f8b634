"""The data of a model that will be written, copied in the background while libraries are loaded and a plan is made.

Loading takes about as long as copying a gigabyte. What will be copied is foreseen from the names in two models: an
initializer that both have alike comes from the source, any other from the target. It is checked against the plan later,
and what was foreseen wrongly is copied again. Only the standard library is needed here.

Models of strangers are looked into: what is not plainly data beside its model is left to be judged later.
"""

import mmap
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType

from converters.atomic_file import temporary_beside
from converters.protobuf_fields import BrokenMessage, Field, fields

__all__ = ["HeadStart", "Piece", "offsets"]

SMALL_ALIGNMENT = 64
PAGE_BYTES = 2**12
ALIGNED_BYTES = 2**20
"""Tensors of a MiB or more begin at a page, so that they can be mapped, and shared where the file system can."""

WORTHWHILE_BYTES = 2**26
COPIED_AT_ONCE = 2**25
"""How much is copied before it is looked whether to go on."""

GRAPH, INITIALIZER = 7, 5
DIMS, DATA_TYPE, NAME, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 13, 14
KEY, VALUE = 1, 2
"""Numbers of fields in onnx.proto: of a model, a graph, a tensor, and an entry of its external data."""

ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""ONNX' number of a type -> bytes of a value, where these are whole."""

EXTERNAL = 1


@dataclass(frozen=True)
class Piece:
    """Bytes of a file, which is named by the numbers that the system has for it, and by when it was written to."""

    device: int
    inode: int
    modified_ns: int
    start: int
    length: int


@dataclass(frozen=True)
class _Tensor:
    """An initializer in external data; `place` is None where it is not plain."""

    name: str
    described: tuple[int, tuple[int, ...]]
    length: int
    place: tuple[int, Piece] | None


def offsets(lengths: Iterable[int]) -> Iterator[int]:
    """Where tensors of so many bytes begin in a file of external data, one after the other."""
    end = 0
    for length in lengths:
        start = end + -end % (PAGE_BYTES if length >= ALIGNED_BYTES else SMALL_ALIGNMENT)
        yield start
        end = start + length


class HeadStart:
    """A file that is begun in the background. To be used as a context: it stops and removes what nobody took.

    Args:
        paths: of the source and the target, ONNX models, and of the model that will be written; none to begin nothing.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._descriptors: list[int] = []
        self._copied: dict[int, Piece] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> "HeadStart":
        try:
            if self._paths and hasattr(os, "copy_file_range"):
                paths, self._paths = self._paths, ()
                self._begin(*paths)
        except (OSError, ValueError):  # what is wrong is found and said later
            self._remove()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._remove()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def take(self, path: Path) -> Mapping[int, Piece]:
        """Wait for the file and give it this name; what was copied to it, by the place of each piece in it.

        Nothing, if there is no such file; then none gets this name.
        """
        if self._thread is None or self._temporary is None:
            return {}
        self._thread.join()
        path.unlink(missing_ok=True)  # a file that takes the place of another is brought to disk first
        self._temporary.rename(path)
        self._temporary = None
        return dict(self._copied)

    def _begin(self, source: Path, target: Path, out: Path) -> None:
        wanted = list(_tensors(target, self._descriptors))
        if sum(tensor.length for tensor in wanted) < WORTHWHILE_BYTES:
            return
        given = {(tensor.name, tensor.described): tensor for tensor in _tensors(source, self._descriptors)}
        jobs = []
        for tensor, offset in zip(wanted, offsets(tensor.length for tensor in wanted), strict=True):
            place = given.get((tensor.name, tensor.described), tensor).place
            if place is not None:
                jobs.append((*place, offset))
        if not jobs:
            return
        out = out.resolve()
        temporary = temporary_beside(out, ".data")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._descriptors.append(handle)
        self._temporary = temporary
        self._thread = threading.Thread(target=self._copy, args=(jobs, handle), daemon=True)
        self._thread.start()

    def _copy(self, jobs: list[tuple[int, Piece, int]], handle: int) -> None:
        _reserve(handle, max(offset + piece.length for _descriptor, piece, offset in jobs))
        for descriptor, piece, offset in jobs:
            done = 0
            while done < piece.length and not self._stopped.is_set():
                count = min(COPIED_AT_ONCE, piece.length - done)
                try:
                    got = os.copy_file_range(descriptor, handle, count, piece.start + done, offset + done)
                except OSError:
                    return
                if not got:
                    return
                done += got
            if done == piece.length:
                self._copied[offset] = piece

    def _remove(self) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None


def _reserve(handle: int, size: int) -> None:
    """Have a file of this size at once, where the file system can: a tenth quicker than block by block.

    Not by `os.posix_fallocate`, which writes to every block where the file system cannot. Source: fallocate(2).
    """
    import ctypes

    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is not None:
        fallocate(handle, 0, ctypes.c_int64(0), ctypes.c_int64(size))  # what fails here is tried again, and said then


def _tensors(model: Path, descriptors: list[int]) -> Iterator[_Tensor]:
    """The initializers of a model whose values lie in other files, in order; files are opened and listed."""
    opened: dict[str, int | None] = {}
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as message:
        (graph,) = (field for field in fields(message, 0, len(message)) if field.number == GRAPH)
        for initializer in fields(message, graph.content, graph.end):
            if initializer.number != INITIALIZER:
                continue
            tensor = _External(message, initializer)
            if tensor.location_field != EXTERNAL:
                continue
            if tensor.location not in opened:
                opened[tensor.location] = _plain_file(model.parent, tensor.location)
                if (descriptor := opened[tensor.location]) is not None:
                    descriptors.append(descriptor)
            yield tensor.placed(opened[tensor.location])


def _plain_file(folder: Path, location: str) -> int | None:
    """A handle of a file that lies in the folder itself and is no link; None of any other."""
    if location != os.path.basename(location):
        return None
    try:
        handle = os.open(folder / location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


class _External:
    """What a tensor's message says of itself."""

    def __init__(self, message: mmap.mmap, tensor: Field) -> None:
        self.dims: list[int] = []
        self.data_type = self.location_field = 0
        self.name = ""
        self._said: dict[str, str] = {}
        for field in fields(message, tensor.content, tensor.end):
            if field.number == DIMS and field.wire_type == 0:
                self.dims.append(field.value)
            elif field.number == DATA_TYPE:
                self.data_type = field.value
            elif field.number == NAME:
                self.name = message[field.content : field.end].decode()
            elif field.number == DATA_LOCATION:
                self.location_field = field.value
            elif field.number == EXTERNAL_DATA:
                entry = {
                    f.number: message[f.content : f.end].decode() for f in fields(message, field.content, field.end)
                }
                self._said[entry.get(KEY, "")] = entry.get(VALUE, "")

    @property
    def location(self) -> str:
        return self._said.get("location", "")

    def placed(self, descriptor: int | None) -> _Tensor:
        """The tensor in that file. Raises BrokenMessage if it has no size that can be told."""
        if self.data_type not in ITEM_BYTES:
            raise BrokenMessage("a type of another size")
        length = prod(self.dims) * ITEM_BYTES[self.data_type]
        start = int(self._said.get("offset", "0"))
        place = None
        if descriptor is not None and int(self._said.get("length", length)) == length and start >= 0:
            status = os.fstat(descriptor)
            if start + length <= status.st_size:
                place = descriptor, Piece(status.st_dev, status.st_ino, status.st_mtime_ns, start, length)
        return _Tensor(self.name, (self.data_type, tuple(self.dims)), length, place)
