"""Pooling and its gradients. x is (N, C, s...), y and dy (N, C, s'...).

Where several cells of a window are equal to its maximum, the gradient goes to the first of them in row-major order, as
in ONNX Runtime.
"""

from collections.abc import Sequence

import torch

from onnxgrid.engines.kernels.table import kernel

__all__ = ["average_pool_backward", "max_pool", "max_pool_backward"]

_MAX_POOL = {2: torch.ops.aten.max_pool2d_with_indices, 3: torch.ops.aten.max_pool3d_with_indices}
_MAX_POOL_BACKWARD = {
    2: torch.ops.aten.max_pool2d_with_indices_backward,
    3: torch.ops.aten.max_pool3d_with_indices_backward,
}
_AVERAGE_POOL_BACKWARD = {2: torch.ops.aten.avg_pool2d_backward, 3: torch.ops.aten.avg_pool3d_backward}
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


@kernel
def max_pool(
    x: torch.Tensor,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    reordered: bool = False,
) -> tuple[torch.Tensor, ...]:
    """y in 2D or 3D, and the position (int64) of each maximum in its plane or volume, by ATen.

    Args:
        reordered: bring the channels of x together in memory first, so that ATen takes several at a time: the copy
            costs less than it saves.
    """
    if reordered:
        x = x.contiguous(memory_format=_CHANNELS_LAST[len(kernel)])
    y, positions = _MAX_POOL[len(kernel)](x, kernel, stride, padding, dilation)
    return (y.contiguous(), positions.contiguous()) if reordered else (y, positions)


@kernel
def max_pool_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    positions: torch.Tensor,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[torch.Tensor, ...]:
    """dx of `max_pool`."""
    return (_MAX_POOL_BACKWARD[len(kernel)](dy, x, kernel, stride, padding, dilation, False, positions),)


@kernel
def average_pool_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    count_include_pad: bool,
) -> tuple[torch.Tensor, ...]:
    """dx of an average pooling in 2D or 3D that pads both ends alike, by ATen."""
    backward = _AVERAGE_POOL_BACKWARD[len(kernel)]
    return (backward(dy, x, kernel, stride, padding, False, count_include_pad, None),)
