"""Batch normalization by the statistics of all processes' batches together: the forward kernel, differentiable by
torch's autograd, and its gradient as a kernel of its own, for the ort engine.

Each way there is one exchange of sums over batch and space, (2 C + 1) float64 numbers for C channels. What the exchange
gives is the same in all processes to the last bit, so their running statistics stay equal.
"""

from typing import Any

import torch

from onnxgrid.engines.kernels.table import kernel
from onnxgrid.processes import sum_over_processes

__all__ = ["synchronized_norm", "synchronized_norm_backward"]

Tensors = tuple[torch.Tensor, ...]


@kernel
def synchronized_norm(
    x: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    seed_and_step: torch.Tensor,
    *,
    epsilon: float,
    momentum: float,
) -> Tensors:
    """x (N, C, ...) normalized by the mean and population variance of all batches; further (C,): the updated running
    mean and variance, the batches' mean and the inverse of their deviation.

    Args:
        seed_and_step: `onnxgrid.engines.training_mode.SEED_AND_STEP`; its last number is 0 for a batch that does not
            count.
    """
    exchange = torch.compiler.disable(_BatchNorm.apply)  # type: ignore[no-untyped-call]
    outputs: Tensors = exchange(x, scale, bias, mean, var, seed_and_step, epsilon, momentum)
    return outputs


@kernel
def synchronized_norm_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    scale: torch.Tensor,
    mean: torch.Tensor,
    inverse_deviation: torch.Tensor,
    seed_and_step: torch.Tensor,
) -> Tensors:
    """The gradients (dx, dscale, dbias). dscale and dbias are those of this process's batch: the exchange of all
    gradients adds the others'.

    dx = s (dy - sum(dy)/M - x^ sum(dy x^)/M) with s = scale inverse_deviation, x^ the normalized x, the sums and the
    count M over all batches; for a batch that does not count, s dy.
    """
    counts, count = bool(seed_and_step[-1]), x.numel() // x.shape[1]
    _, dscale, dbias = torch.ops.aten.native_batch_norm_backward(
        dy, x, scale, None, None, mean, inverse_deviation, True, 0.0, [False, True, True]
    )
    sums = torch.cat([dscale.new_full((1,), count, dtype=torch.float64), dscale.double(), dbias.double()])
    if not counts:
        sums.zero_()
    sum_over_processes(sums)
    mean_dy_x, mean_dy = (sums[1:] / sums[0]).to(x.dtype).chunk(2)
    per_channel = (1, -1, *[1] * (x.dim() - 2))
    slope = scale * inverse_deviation
    if not counts:
        return dy * slope.view(per_channel), dscale, dbias
    of_x = -slope * inverse_deviation * mean_dy_x
    constant = -slope * mean_dy - of_x * mean
    dx = torch.addcmul(constant.view(per_channel), x, of_x.view(per_channel)).addcmul_(dy, slope.view(per_channel))
    return dx, dscale, dbias


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor,
        mean: torch.Tensor,
        var: torch.Tensor,
        seed_and_step: torch.Tensor,
        epsilon: float,
        momentum: float,
    ) -> Tensors:
        own_mean, own_var = (t.double() for t in torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0))
        sums = torch.cat([own_mean.new_ones(1), own_mean, own_var + own_mean.square()])
        sums *= x.numel() // x.shape[1] * int(seed_and_step[-1])
        sum_over_processes(sums)
        batch_mean, mean_square = (sums[1:] / sums[0]).chunk(2)
        batch_var = (mean_square - batch_mean.square()).clamp_(min=0)
        inverse_deviation = (batch_var + epsilon).rsqrt().to(mean.dtype)
        batch_mean, batch_var = batch_mean.to(mean.dtype), batch_var.to(mean.dtype)
        y = torch.native_batch_norm(x, scale, bias, batch_mean, batch_var, False, 0.0, epsilon)[0]
        updated = mean.lerp(batch_mean, 1 - momentum), var.lerp(batch_var, 1 - momentum)
        ctx.save_for_backward(x, scale, batch_mean, inverse_deviation, seed_and_step)
        ctx.mark_non_differentiable(*updated, batch_mean, inverse_deviation)
        return y, *updated, batch_mean, inverse_deviation

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        return (*synchronized_norm_backward(dy, *ctx.saved_tensors), None, None, None, None, None)
