"""Gradients of activations."""

import torch

from onnxgrid.engines.kernels.table import kernel

__all__ = ["relu_backward"]


@kernel
def relu_backward(dy: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """dy where the output y of a Relu is positive, else 0."""
    return (torch.ops.aten.threshold_backward(dy, y, 0),)
