"""Mini-batches of a data set. Their order is a pure function of seed and epoch, so a resumed run sees the same one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from onnxgrid.data.dataset import Dataset

__all__ = ["Batch", "batch_count", "batches"]


@dataclass(frozen=True)
class Batch:
    """`inputs` (N, C, space...) float32, `targets` (N, ...) or None, `indices` (N,) of the samples in the data set."""

    inputs: torch.Tensor
    targets: torch.Tensor | None
    indices: torch.Tensor

    def pin_memory(self) -> "Batch":
        """The batch in memory that a GPU can copy from while the program goes on."""
        targets = None if self.targets is None else self.targets.pin_memory()
        return Batch(self.inputs.pin_memory(), targets, self.indices)


class _WholeBatches(torch.utils.data.Dataset[Batch]):
    """A data set that is asked for whole batches: what is in memory is then gathered in one call."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getitem__(self, indices: torch.Tensor) -> Batch:
        return Batch(*self._dataset.take(indices), indices)


def batch_count(sample_count: int, batch_size: int) -> int:
    """The number of batches; the last one may be smaller."""
    return -(-sample_count // batch_size)


def batches(
    dataset: Dataset, batch_size: int, *, epoch: int, seed: int, shuffle: bool, pinned: bool = False
) -> Iterator[Batch]:
    """One pass over the data set. Without `shuffle` the order is that of the data set, whatever epoch and seed.

    Args:
        pinned: whether batches are put where a GPU can copy them from asynchronously.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(dataset)) if shuffle else np.arange(len(dataset))
    loader = torch.utils.data.DataLoader(
        _WholeBatches(dataset),
        batch_size=None,
        sampler=torch.split(torch.from_numpy(order), batch_size),
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # with batch_size None it gets one item, not a list
        # One of its own: DataLoader draws a number for each pass, which must not come from the global generator.
        generator=torch.Generator(),
    )
    return (batch.pin_memory() for batch in loader) if pinned else iter(loader)


def _as_it_is(batch: Batch) -> Batch:
    return batch
