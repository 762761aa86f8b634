"""Mini-batches of a data set. Their order is a pure function of seed and epoch, so a resumed run sees the same one, and
so do all processes that share the work.

A step takes `accumulated` batches of `batch_size` samples each; every one of them is cut into as many parts of nearly
equal size as there are processes, and a process is given its own parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from onnxgrid.data.dataset import Dataset

__all__ = ["Batch", "Rows", "Share", "batch_count", "batches"]


@dataclass(frozen=True)
class Rows:
    """Which of a step's samples a batch holds: `count` of `total`, from `first` on.

    A count of 0 is that of a batch whose one sample belongs to another process: it is there so that there is something
    to compute, and is left out of every sum.
    """

    first: int
    count: int
    total: int


@dataclass(frozen=True)
class Batch:
    """`inputs` (N, C, space...) float32, `targets` (N, ...) or None, `indices` (N,) of the samples in the data set.

    `rows` says which part of a step this is; None: all of it.
    """

    inputs: torch.Tensor
    targets: torch.Tensor | None
    indices: torch.Tensor
    rows: Rows | None = None

    @property
    def place(self) -> Rows:
        """`rows`, spelled out."""
        return self.rows or Rows(0, len(self.inputs), len(self.inputs))

    def pin_memory(self) -> "Batch":
        """The batch in memory that a GPU can copy from while the program goes on."""
        targets = None if self.targets is None else self.targets.pin_memory()
        return Batch(self.inputs.pin_memory(), targets, self.indices, self.rows)


@dataclass(frozen=True)
class Share:
    """What one process of several sees of a data set, and how many batches make a step."""

    rank: int = 0
    processes: int = 1
    accumulated: int = 1


WHOLE = Share()

_Part = tuple[torch.Tensor, Rows]
"""Indices of samples, and which rows of their step they are."""


class _WholeBatches(torch.utils.data.Dataset[Batch]):
    """A data set that is asked for whole batches: what is in memory is then gathered in one call."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getitem__(self, part: _Part) -> Batch:
        indices, rows = part
        return Batch(*self._dataset.take(indices), indices, rows)


def batch_count(sample_count: int, batch_size: int) -> int:
    """The number of batches; the last one may be smaller."""
    return -(-sample_count // batch_size)


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    epoch: int,
    seed: int,
    shuffle: bool,
    share: Share = WHOLE,
    pinned: bool = False,
) -> Iterator[Batch]:
    """One pass over the data set. Without `shuffle` the order is that of the data set, whatever epoch and seed.

    Args:
        batch_size: of all processes together.
        share: what this process sees. Every process gets as many batches.
        pinned: whether batches are put where a GPU can copy them from asynchronously.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(dataset)) if shuffle else np.arange(len(dataset))
    steps = torch.split(torch.from_numpy(order), batch_size * share.accumulated)
    loader = torch.utils.data.DataLoader(
        _WholeBatches(dataset),
        batch_size=None,
        sampler=[part for step in steps for part in _parts(step, batch_size, share)],
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # with batch_size None it gets one item, not a list
        # One of its own: DataLoader draws a number for each pass, which must not come from the global generator.
        generator=torch.Generator(),
    )
    return (batch.pin_memory() for batch in loader) if pinned else iter(loader)


def _parts(step: torch.Tensor, batch_size: int, share: Share) -> Iterator[_Part]:
    """This process's part of each batch of a step."""
    for number, batch in enumerate(torch.split(step, batch_size)):
        begin, end = (len(batch) * rank // share.processes for rank in (share.rank, share.rank + 1))
        indices = batch[begin:end] if begin < end else batch[:1]
        yield indices, Rows(number * batch_size + begin, end - begin, len(step))


def _as_it_is(batch: Batch) -> Batch:
    return batch
