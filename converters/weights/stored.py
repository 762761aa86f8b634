"""Values where they lie in a file: read whole or in pieces, or copied to another file past Python."""

import errno
import mmap
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from converters.errors import WeightFileError

__all__ = ["PIECE_BYTES", "ByteRange", "FileArray", "FileState", "OpenFile", "StoredArray"]

Array = npt.NDArray[Any]

PIECE_BYTES = 2**23
"""What is read at once where an array need not be whole in memory: much for a disk, little for a processor's cache."""

COPIED_AT_ONCE = 2**30

NOT_BY_RANGE = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY, errno.EIO}
)
"""What systems and file systems say that cannot copy between these files by themselves; reading tells what is wrong."""


@dataclass(frozen=True)
class FileState:
    """What tells whether a file is still what it was: its numbers in the system, bytes, and when it was written to."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: Path | int) -> "FileState":
        """That of a file, or of one that is open. Raises OSError if there is none."""
        status = os.stat(file)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def require(self, file: Path | int, path: Path) -> None:
        """Nothing, if the file is in this state.

        Args:
            path: for errors.

        Raises:
            WeightFileError: if it is in another, or not there.
        """
        try:
            unchanged = FileState.of(file) == self
        except OSError:
            unchanged = False
        if not unchanged:
            raise WeightFileError(
                "changed since it was opened", place=str(path), fix="Leave the file while it is read, and begin anew."
            )


class OpenFile:
    """A file that is held open for as long as anything refers to it.

    What is read is what was there when it was opened, though another file may have got its name since; a file that was
    written over in its place is refused.

    Args:
        found: what the file was when places in it were learnt; None to learn them from now on.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path, found: "FileState | None" = None) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.descriptor)
        self._state = found or FileState.of(self.descriptor)
        self.size = self._state.size

    def require_unchanged(self) -> None:
        """Nothing, if the file is what it was when it was opened.

        Raises:
            WeightFileError: if it was written to since.
        """
        self._state.require(self.descriptor, self.path)

    def require_at_path(self) -> None:
        """Nothing, if the path still leads to this file, as it was: then another reader of the path read it too.

        Raises:
            WeightFileError: if it leads to another, or the file was written to since.
        """
        self._state.require(self.path, self.path)

    def mapped(self) -> Array:
        """All of its bytes, each read when it is used.

        Raises:
            ValueError: if there are none.
        """
        return np.frombuffer(mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ), np.uint8)

    def read(self, start: int, count: int) -> Array:
        """So many bytes from this one on.

        Raises:
            WeightFileError: if the file ends before, cannot be read, or was changed since it was opened.
        """
        buffer = np.empty(count, np.uint8)
        done = 0
        while done < count:
            try:
                got = os.preadv(self.descriptor, [buffer[done : done + COPIED_AT_ONCE].data], start + done)
            except OSError as error:
                raise self._error(f"cannot be read: {error.strerror}") from None
            if not got:
                self.require_unchanged()
                raise self._error(f"ends at byte {start + done}, and byte {start + count} is needed")
            done += got
        self.require_unchanged()
        return buffer

    def copy(self, start: int, count: int, file: BinaryIO) -> None:
        """Write so many bytes from this one on to a file, by the system alone where it can.

        Raises:
            WeightFileError: if this file ends before, cannot be read, or was changed since it was opened.
            OSError: if the other cannot be written.
        """
        file.flush()
        begin = file.tell()
        done = self._copied_by_system(start, count, file.fileno(), begin)
        file.seek(begin + done)
        while done < count:
            piece = min(PIECE_BYTES, count - done)
            file.write(self.read(start + done, piece).data)
            done += piece
        self.require_unchanged()

    def _copied_by_system(self, start: int, count: int, descriptor: int, begin: int) -> int:
        """How many bytes were."""
        done = 0
        while done < count and hasattr(os, "copy_file_range"):
            wanted = min(COPIED_AT_ONCE, count - done)
            try:
                got = os.copy_file_range(self.descriptor, descriptor, wanted, start + done, begin + done)
            except OSError as error:
                if error.errno not in NOT_BY_RANGE:
                    raise
                break
            if not got:
                break
            done += got
        return done

    def _error(self, problem: str) -> WeightFileError:
        return WeightFileError(problem, place=str(self.path), fix="Give a whole file, and leave it while it is read.")


@dataclass(frozen=True)
class ByteRange:
    """A piece of a file."""

    file: OpenFile
    start: int
    length: int

    @property
    def nbytes(self) -> int:
        return self.length

    def read(self) -> Array:
        """All of it. Raises WeightFileError as `OpenFile.read`."""
        return self.file.read(self.start, self.length)

    def pieces(self, step: int = PIECE_BYTES) -> Iterator[Array]:
        """Its bytes in order, in arrays of at most so many."""
        for start in range(self.start, self.start + self.length, step):
            yield self.file.read(start, min(step, self.start + self.length - start))

    def stored(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "StoredArray":
        """What reads the array that it is."""
        assert prod(shape) * dtype.itemsize == self.length, (shape, dtype, self.length)
        return StoredArray(lambda: self, shape, dtype)

    def tofile(self, file: BinaryIO) -> None:
        """Write it to where another file stands. Raises as `OpenFile.copy`."""
        self.file.copy(self.start, self.length, file)


class FileArray(ABC):
    """What reads an array of a file. `Weight.read` is one where more is known of how the array lies there."""

    @property
    @abstractmethod
    def range(self) -> ByteRange | None:
        """Where the values lie, in C order and in the byte order of this machine; None if they do not lie so."""

    @abstractmethod
    def __call__(self) -> Array:
        """The values."""

    def pieces(self) -> Iterator[Array]:
        """The values in C order, as arrays that follow on each other and are read when their turn comes."""
        yield self()


@dataclass(frozen=True)
class StoredArray(FileArray):
    """What reads an array that lies in one piece in a file, in C order and in the byte order of this machine.

    Args:
        locate: gives the place; raises WeightFileError if there is no such place.
    """

    locate: Callable[[], ByteRange] = field(repr=False)
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def range(self) -> ByteRange:
        return self.locate()

    def __call__(self) -> Array:
        return self.range.read().view(self.dtype).reshape(self.shape)

    def pieces(self) -> Iterator[Array]:
        for piece in self.range.pieces(PIECE_BYTES // self.dtype.itemsize * self.dtype.itemsize):
            yield piece.view(self.dtype)
