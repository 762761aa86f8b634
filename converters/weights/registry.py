"""Which module reads which weight file: by the end of its name."""

from collections.abc import Callable
from pathlib import Path

from converters.errors import WeightFileError
from converters.weights.weight import Weights

__all__ = ["READERS", "read_weights", "reads"]

Reader = Callable[[Path], Weights]

READERS: dict[str, Reader] = {}
"""Suffix, with its dot and in lower case -> reader. Filled by `@reads`."""


def reads(*suffixes: str) -> Callable[[Reader], Reader]:
    """A decorator that makes a function the reader of files so named; a suffix has one owner."""

    def register(reader: Reader) -> Reader:
        for suffix in suffixes:
            if suffix in READERS:
                raise ValueError(f"{suffix} is read by {READERS[suffix].__module__} already")
            READERS[suffix] = reader
        return reader

    return register


def read_weights(path: Path) -> Weights:
    """The parameters and statistics of a weight file, by name and in its order; values are read when asked for.

    Raises:
        WeightFileError: if the file is missing, empty, broken or of an unknown kind.
    """
    reader = _reader(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise WeightFileError(
            f"cannot be read: {error.strerror}", place=str(path), fix="Give the path of a readable weight file."
        ) from None
    if empty:
        raise WeightFileError("the file is empty", place=str(path), fix="Give a whole weight file.")
    return reader(path)


def _reader(path: Path) -> Reader:
    # The longest suffix wins, as `.weights.h5` is another format than `.h5`.
    for suffix in sorted(READERS, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return READERS[suffix]
    raise WeightFileError(
        f"the suffix '{path.suffix}' is not one of a weight file",
        place=str(path),
        fix=f"Use one of: {', '.join(sorted(READERS))}.",
    )
