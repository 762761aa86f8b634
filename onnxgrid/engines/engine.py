"""What the training loop sees of an engine: one step, one prediction, and the weights as flat tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

__all__ = ["WHOLE", "Engine", "FlatTensors", "Part", "Predict", "StepResult"]

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Outputs (N, C, ...) of a network in inference mode for inputs (N, C, ...)."""

ALIGNMENT = 16
"""Views start at multiples of this many float32 (64 bytes, a cache line and the widest vector load)."""


class FlatTensors:
    """Named float32 tensors that share one flat tensor, so that one call updates, clips or sums all of them.

    `flat` has shape (size,); `views[name]` is a view of it with the tensor's own shape. The few elements between two
    views are zero and stay so.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], device: torch.device) -> None:
        offsets, size = {}, 0
        for name, shape in shapes.items():
            offsets[name] = size
            count = int(np.prod(shape, dtype=np.int64))
            size += -(-count // ALIGNMENT) * ALIGNMENT
        self.flat = torch.zeros(size, dtype=torch.float32, device=device)
        self.views = {
            name: self.flat[offsets[name] : offsets[name] + int(np.prod(shape, dtype=np.int64))].view(shape)
            for name, shape in shapes.items()
        }

    @classmethod
    def holding(cls, values: Mapping[str, np.ndarray], device: torch.device) -> "FlatTensors":
        """Flat tensors with a copy of these values."""
        tensors = cls({name: value.shape for name, value in values.items()}, device)
        for name, value in values.items():
            tensors.views[name].copy_(torch.from_numpy(np.array(value, dtype=np.float32)))
        return tensors

    def empty_like(self) -> "FlatTensors":
        """Flat tensors of the same names and shapes, all zero."""
        return FlatTensors({name: tuple(view.shape) for name, view in self.views.items()}, self.flat.device)

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of every tensor."""
        return {name: view.detach().cpu().numpy().copy() for name, view in self.views.items()}


@dataclass(frozen=True)
class Part:
    """What part of a step a batch is, if other processes, or other calls, compute the rest of it."""

    share: float = 1.0
    """Of the step's loss, which is a weighted mean, this batch's share of the weights: loss and gradients are
    multiplied by it.
    """
    first_row: int = 0
    """Where the batch's first sample stands in the step; dropout masks go by it."""
    rows: int | None = None
    """The samples of the step; None: those of the batch."""
    counts: bool = True
    """False: the batch's samples are only there for something to compute, and count in no statistics."""

    def position(self, number: int, samples: int) -> list[int]:
        """The values of the graph input `onnxgrid.engines.training_mode.SEED_AND_STEP` behind the seed."""
        return [number, self.first_row, samples, samples if self.rows is None else self.rows, int(self.counts)]


WHOLE = Part()


@dataclass(frozen=True)
class StepResult:
    """What one training step gave: the batch's loss (0-d), times its share, and the network's outputs (N, C, ...)."""

    loss: torch.Tensor
    outputs: torch.Tensor


class Engine(Protocol):
    """Forward, loss and backward of one network.

    `parameters` are the trainable weights and `gradients` their gradients, laid out alike; `statistics` are the running
    statistics of batch normalization. The engine reads `parameters` and `statistics` in place: whoever writes into them
    changes the network.
    """

    name: str
    parameters: FlatTensors
    gradients: FlatTensors
    statistics: FlatTensors
    kernels: Mapping[str, str]
    """{what is computed: by which kernel}, where there was a choice; known after the first step."""

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part = WHOLE) -> StepResult:
        """Loss and outputs of one batch in training mode; fills `gradients` and updates `statistics`.

        Args:
            inputs: (N, C, ...), float32.
            targets: as the loss wants them.
            number: the step's number in the whole run, from 0. Dropout masks are a function of the seed and this
                number.
            part: what part of the step the batch is. If the engine was made for several processes, each must take the
                step with its own part at the same time.
        """

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (N, C, ...) for inputs (N, C, ...) in inference mode."""

    def predictor(self) -> Predict:
        """`predict` for weights that stay as they are as long as it is used: it may have computed something of them."""
