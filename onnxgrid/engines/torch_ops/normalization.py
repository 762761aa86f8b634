"""Normalization by mean and variance."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.table import torch_op


@torch_op("BatchNormalization", several_outputs=True)
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


@torch_op("GroupNormalization")
def group_normalization(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> torch.Tensor:
    """x (N, C, s...) with each sample's groups of channels brought to mean 0 and variance 1, times scale, plus bias.

    These are (C,), or before opset 21 (num_groups,).
    """
    each = x.shape[1] // scale.shape[0]
    return torch.group_norm(x, num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), epsilon)


@torch_op("LpNormalization")
def lp_normalization(x: torch.Tensor, *, axis: int = -1, p: int = 2) -> torch.Tensor:
    """x divided by its length along an axis, the sum of amounts (p 1) or the Euclidean one (p 2)."""
    length: torch.Tensor = torch.linalg.vector_norm(x, p, dim=axis, keepdim=True)
    return x / length


def _lrn_refusal(attributes: Mapping[str, Any]) -> str | None:
    size = attributes["size"]
    return None if size % 2 else f"has size {size}; known are odd sizes"  # ONNX Runtime has no others to compare with


@torch_op("LRN", refusal=_lrn_refusal)
def local_response_normalization(
    x: torch.Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> torch.Tensor:
    """x (N, C, s...) / (bias + alpha / size * squares)^beta; squares are summed over the `size` channels around."""
    squares = F.pad(x.square().flatten(2).transpose(1, 2), [size // 2, size // 2])  # (N, S, C + size - 1)
    mean = F.avg_pool1d(squares, size, 1).transpose(1, 2).reshape(x.shape)
    return x / (bias + alpha * mean).pow(beta)


@torch_op("MeanVarianceNormalization")
def mean_variance_normalization(x: torch.Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> torch.Tensor:
    """x brought to mean 0 and variance 1 over these axes."""
    centred = x - x.mean(tuple(axes), keepdim=True)
    return centred / (centred.square().mean(tuple(axes), keepdim=True).sqrt() + 1e-9)
