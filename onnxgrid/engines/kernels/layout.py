"""Kernels on tensors whose channels lie last: (N, s..., C), which convolutions often compute faster."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from onnxgrid.engines.kernels.table import KERNELS, kernel

__all__ = ["channels_last"]


@kernel
def channels_last(
    *tensors: torch.Tensor,
    operator: str,
    arguments: Mapping[str, Any],
    moved_inputs: Sequence[int],
    moved_outputs: Sequence[int],
) -> tuple[torch.Tensor, ...]:
    """Another kernel whose activations have the shape (N, s..., C) here, and (N, C, s...) in the same memory there.

    Args:
        operator: the kernel.
        moved_inputs: which of the tensors are activations.
        moved_outputs: which of its outputs are.
    """
    moved = set(moved_inputs)
    seen = [tensor.movedim(-1, 1) if i in moved else tensor for i, tensor in enumerate(tensors)]
    outputs = list(KERNELS[operator](*seen, **arguments))
    for i in moved_outputs:
        outputs[i] = outputs[i].movedim(1, -1).contiguous()
    return tuple(outputs)
