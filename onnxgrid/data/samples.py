"""What a loader is: samples found in files, in a fixed order, read one at a time."""

from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

__all__ = ["Array", "Samples"]

Array = npt.NDArray[Any]


class Samples(Protocol):
    """Samples of one shape."""

    @property
    def names(self) -> tuple[str, ...]:
        """The path of each sample relative to the directory that was opened, with `/`; in byte order."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of each sample."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each sample: (C, space...)."""

    def place(self, index: int) -> str:
        """Where the sample is, for error messages."""

    def read(self, index: int) -> Array:
        """The sample, numbers of any type.

        Raises:
            DataError: if the file is broken or the sample has another shape.
        """
