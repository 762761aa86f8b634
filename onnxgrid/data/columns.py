"""One side of a data set, inputs or targets, as tensors: read from files when asked for, or all in memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch

from onnxgrid.data.samples import Array, Samples

__all__ = ["Column", "FileColumn", "StoredColumn"]


class Column(ABC):
    """A value for each sample."""

    @abstractmethod
    def take(self, indices: torch.Tensor) -> torch.Tensor:
        """The values of the samples as one tensor, (len(indices), ...)."""


class StoredColumn(Column):
    """All values in one tensor, (number of samples, ...)."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def take(self, indices: torch.Tensor) -> torch.Tensor:
        # NumPy's gather, on one thread: torch's index_select on two waits for the other thread when a neighbour has its
        # core, 8 ms instead of 0.03 ms for 64 images of 32 x 32 (measured on 2 shared cores).
        return torch.from_numpy(self.values.numpy().take(indices.numpy(), axis=0))


class FileColumn(Column):
    """Values read from files each time; `convert` makes a sample, given its index, what the tensor holds."""

    def __init__(self, samples: Samples, convert: Callable[[Array, int], Array]) -> None:
        self._samples, self._convert = samples, convert

    def take(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.stack([self._read(index) for index in indices.tolist()])))

    def load(self) -> StoredColumn:
        """All values, read now."""
        first = torch.from_numpy(self._read(0))
        values = torch.empty((len(self._samples.names), *first.shape), dtype=first.dtype)
        values[0] = first
        for index in range(1, len(values)):
            values[index] = torch.from_numpy(self._read(index))
        return StoredColumn(values)

    def _read(self, index: int) -> Array:
        return self._convert(self._samples.read(index), index)
