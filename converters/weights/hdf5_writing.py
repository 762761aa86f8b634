"""HDF5 files that are written into a file of Python's, so that a full disk is what the system says of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

__all__ = ["hdf5_in"]


@contextmanager
def hdf5_in(file: IO[bytes], mode: str) -> Iterator["h5py.File"]:
    """An HDF5 file in one that is open for reading and writing, until the context ends.

    Where HDF5 learns that something cannot be written, it neither says what nor closes the file. So it does not learn
    of it: the rest is not written, and what the system said is raised at last.

    Args:
        mode: "w" to write it anew, "r+" to change it.

    Raises:
        OSError: if the file cannot be written.
    """
    import h5py

    heard = _Heard(file)
    try:
        with h5py.File(heard, mode) as opened:
            yield opened
    except (OSError, RuntimeError, ValueError, KeyError):
        if heard.error is None:
            raise
    if heard.error is not None:
        raise heard.error
    file.flush()


class _Heard:
    """A file for HDF5 that hears what the system says of writing, and keeps it to itself."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def seek(self, place: int, whence: int = 0) -> int:
        return self._guarded(lambda: self._file.seek(place, whence), place)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, count: int = -1) -> bytes:
        return self._file.read(count)

    def readinto(self, buffer: memoryview) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: memoryview) -> int:
        return self._guarded(lambda: self._file.write(data), len(data))

    def truncate(self, size: int) -> int:
        return self._guarded(lambda: self._file.truncate(size), size)

    def flush(self) -> None:
        self._guarded(lambda: self._file.flush() or 0, 0)

    def _guarded(self, call: Callable[[], int], otherwise: int) -> int:
        if self.error is None:
            try:
                return call()
            except OSError as error:
                self.error = error
        return otherwise
