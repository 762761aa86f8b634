"""Normalization by mean and variance."""

from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.table import torch_op


@torch_op("BatchNormalization")
def batch_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    """x (N, C, ...) -> y, and in training mode (y, running mean, running variance), with the batch's population
    variance.
    """
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
    y, batch_mean, inverse_deviation = torch.native_batch_norm(x, scale, bias, None, None, True, 0.0, epsilon)
    with torch.no_grad():
        batch_var = inverse_deviation.pow(-2).sub_(epsilon).clamp_(min=0)
        return y, mean.lerp(batch_mean, 1 - momentum), var.lerp(batch_var, 1 - momentum)


@torch_op("InstanceNormalization")
def instance_normalization(
    x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, *, epsilon: float = 1e-5
) -> torch.Tensor:
    """x (N, C, s...) with each sample's channel brought to mean 0 and variance 1, times scale (C,), plus bias (C,)."""
    return torch.group_norm(x, x.shape[1], scale, bias, epsilon)


@torch_op("LayerNormalization")
def layer_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> torch.Tensor:
    """x brought to mean 0 and variance 1 over the axes from `axis` on, times scale, plus bias, both of their shape.

    float32 is computed in float32, which is what `stash_type` 1 says.
    """
    return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)
