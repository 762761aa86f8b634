"""Batch normalization in training mode, by ATen. x is (N, C, s...), all else (C,)."""

import math

import torch

from onnxgrid.engines.kernels.table import kernel

__all__ = ["batch_norm", "batch_norm_backward"]


@kernel
def batch_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    epsilon: float,
    momentum: float,
    relu: bool = False,
) -> tuple[torch.Tensor, ...]:
    """y, the updated running mean and variance, the batch's mean and the inverse of its standard deviation.

    The running variance is updated with the population's variance, as ONNX and Keras define it.

    Args:
        relu: whether y goes through a Relu.
    """
    batch_mean, sample_variance = torch.zeros_like(mean), torch.zeros_like(variance)
    y, saved_mean, inverse_deviation = torch.native_batch_norm(
        x, weight, bias, batch_mean, sample_variance, True, 1.0, epsilon
    )
    count = x.shape[0] * math.prod(x.shape[2:])
    batch_variance = sample_variance * ((count - 1) / count) if count > 1 else torch.zeros_like(variance)
    return (
        y.relu_() if relu else y,
        momentum * mean + (1 - momentum) * saved_mean,
        momentum * variance + (1 - momentum) * batch_variance,
        saved_mean,
        inverse_deviation,
    )


@kernel
def batch_norm_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    batch_mean: torch.Tensor,
    inverse_deviation: torch.Tensor,
    *y: torch.Tensor,
    epsilon: float,
) -> tuple[torch.Tensor, ...]:
    """dx, the gradient of the weight, that of the bias.

    Args:
        y: the output of the Relu that follows the normalization, if there is one.
    """
    if y:
        dy = torch.ops.aten.threshold_backward(dy, y[0], 0)
    gradients: tuple[torch.Tensor, ...] = torch.ops.aten.native_batch_norm_backward(
        dy, x, weight, None, None, batch_mean, inverse_deviation, True, epsilon, [True] * 3
    )
    return gradients
