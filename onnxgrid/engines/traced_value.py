"""What a tracer of a training step gives: every value, with the node that made it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from onnxgrid.engines.engine import Part

__all__ = ["TracedValue", "Tracer"]


@dataclass(frozen=True)
class TracedValue:
    """A value of a step: the output of a forward node, or a gradient that it passes back. `layer` is the node's."""

    what: str
    """ "output" or "gradient"."""
    node: str
    op_type: str
    layer: str | None
    tensor: torch.Tensor


Tracer = Callable[[torch.Tensor, torch.Tensor, int, Part], list[TracedValue]]
"""From inputs, targets, number of the step and the batch's part of it to the values in the order of computation."""
