"""A data set: samples in a fixed order, one at a time or many at once."""

from enum import Enum

import torch

from onnxgrid.data.columns import Column

__all__ = ["Dataset", "Sample", "TargetKind"]

Sample = tuple[torch.Tensor, torch.Tensor | None]


class TargetKind(Enum):
    """What the loss compares outputs with."""

    CLASS_INDICES = "class indices"
    """int64, without channel axis: (N, space...)."""
    VALUES = "values"
    """float32, shaped like the outputs."""


class Dataset(torch.utils.data.Dataset[Sample]):
    """Samples in sorted order. `[i]` is the input, float32 (C, space...), and its target, or None if there are none.

    Attributes:
        names: the path of each input relative to the directory that was opened.
        classes: the class names by index; None unless the targets are labels.
        kind: what the log calls the samples: "images" or "samples".
    """

    def __init__(
        self,
        inputs: Column,
        targets: Column | None,
        *,
        names: tuple[str, ...],
        classes: tuple[str, ...] | None,
        kind: str,
    ) -> None:
        self._inputs, self._targets = inputs, targets
        self.names, self.classes, self.kind = names, classes, kind

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        inputs, targets = self.take(torch.tensor([range(len(self))[index]]))
        return inputs[0], None if targets is None else targets[0]

    def take(self, indices: torch.Tensor) -> Sample:
        """Many samples at once: inputs (len(indices), C, space...) and their targets."""
        return self._inputs.take(indices), None if self._targets is None else self._targets.take(indices)
