"""Convolutions and their gradients, each in several ways that differ in speed alone.

x is (N, C, s...), w (O, C / groups, k...) or, transposed, (C, O / groups, k...), y and dy (N, O, s'...). Padding is the
same at both ends. Where a Relu follows the convolution, `relu` makes it part of the kernel; its gradient then takes the
Relu's output as y.
"""

from collections.abc import Sequence

import torch

from onnxgrid.engines import one_volume
from onnxgrid.engines.kernels.table import kernel
from onnxgrid.engines.windows import side_by_side_gradients

__all__ = [
    "conv",
    "conv_backward",
    "conv_backward_flipped",
    "conv_backward_shuffled",
    "conv_backward_strided_pointwise",
    "conv_shuffled",
]


@kernel
def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    *bias: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    relu: bool = False,
    low_precision: bool = False,
) -> tuple[torch.Tensor, ...]:
    """The convolution, by ATen.

    Args:
        low_precision: multiply in bfloat16; the sums are float32.
    """
    tensors = (x, w, *bias)
    if low_precision:
        tensors = tuple(tensor.bfloat16() for tensor in tensors)
    b = tensors[2] if bias else None
    if not transposed and one_volume.computed_slowly(tensors[0], tensors[1], groups):
        y = one_volume.convolve(tensors[0], tensors[1], b, stride, padding, dilation)
    else:
        y = torch.ops.aten.convolution(
            tensors[0], tensors[1], b, stride, padding, dilation, transposed, output_padding, groups
        ).float()
    return (y.relu_() if relu else y,)


@kernel
def conv_strided_pointwise(
    x: torch.Tensor, w: torch.Tensor, *bias: torch.Tensor, stride: Sequence[int], relu: bool = False
) -> tuple[torch.Tensor, ...]:
    """A convolution of kernel size 1, without padding: first the cells that it reads, then their products."""
    y = torch.ops.aten.convolution(_every(x, stride), w, bias[0] if bias else None, *_pointwise(w))
    return (y.relu_() if relu else y,)


@kernel
def conv_shuffled(
    x: torch.Tensor, w: torch.Tensor, *bias: torch.Tensor, relu: bool = False
) -> tuple[torch.Tensor, ...]:
    """A transposed convolution whose windows do not overlap (stride = kernel size, no padding): each cell of x makes
    its window by one product, then the windows are put in their places.
    """
    n, _, *sizes = x.shape
    _, out, *window = w.shape
    y = torch.matmul(w.flatten(1).t(), x.flatten(2)).view(n, out, *window, *sizes)
    rank = len(sizes)
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    y = y.permute(0, 1, *order).reshape(n, out, *(k * s for k, s in zip(window, sizes, strict=True)))
    if bias:
        y.add_(bias[0].view(-1, *[1] * rank))
    return (y.relu_() if relu else y,)


@kernel
def conv_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    w: torch.Tensor,
    *y: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
    low_precision: bool = False,
) -> tuple[torch.Tensor, ...]:
    """Those of the gradients (dx, dw, db) of a (transposed) convolution that are wanted, by ATen.

    Args:
        y: the output of the Relu that follows the convolution, if there is one.
        low_precision: multiply in bfloat16.
    """
    dy = _before_relu(dy, y)
    if any(output_padding):
        # With channels last, torch 2.13 writes beyond its memory here (kernel 1, stride 3, output padding 2).
        dy, x = dy.contiguous(), x.contiguous()
    if not (transposed or low_precision) and one_volume.computed_slowly(x, w, groups):
        gradients = one_volume.gradients(dy, x, w, stride, padding, dilation, wanted)
        return tuple(g for g, want in zip(gradients, wanted, strict=True) if want)
    bias_sizes = [w.shape[1] * groups if transposed else w.shape[0]] if wanted[2] else None
    tensors = [tensor.bfloat16() for tensor in (dy, x, w)] if low_precision else [dy, x, w]
    gradients = torch.ops.aten.convolution_backward(
        *tensors, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, wanted
    )
    return tuple(g.float() for g, want in zip(gradients, wanted, strict=True) if want)


@kernel
def conv_backward_flipped(
    dy: torch.Tensor,
    x: torch.Tensor,
    w: torch.Tensor,
    *y: torch.Tensor,
    padding: Sequence[int],
    dilation: Sequence[int],
    wanted: Sequence[bool],
) -> tuple[torch.Tensor, ...]:
    """As `conv_backward` for stride 1 and one group; dx is a convolution with the flipped kernel, input and output
    channels exchanged.
    """
    dy = _before_relu(dy, y)
    rank = w.dim() - 2
    flipped = w.transpose(0, 1).flip(list(range(2, w.dim())))
    reach = [d * (k - 1) - p for d, k, p in zip(dilation, w.shape[2:], padding, strict=True)]
    dx = torch.ops.aten.convolution(dy, flipped, None, [1] * rank, reach, dilation, False, [0] * rank, 1)
    bias_sizes = [w.shape[0]] if wanted[2] else None
    gradients = torch.ops.aten.convolution_backward(
        dy, x, w, bias_sizes, [1] * rank, padding, dilation, False, [0] * rank, 1, [False, *wanted[1:]]
    )
    return (dx, *(g for g, want in zip(gradients[1:], wanted[1:], strict=True) if want))


@kernel
def conv_backward_strided_pointwise(
    dy: torch.Tensor,
    x: torch.Tensor,
    w: torch.Tensor,
    *y: torch.Tensor,
    stride: Sequence[int],
    wanted: Sequence[bool],
) -> tuple[torch.Tensor, ...]:
    """As `conv_backward`, of `conv_strided_pointwise`."""
    dy = _before_relu(dy, y)
    bias_sizes = [w.shape[0]] if wanted[2] else None
    dx, dw, db = torch.ops.aten.convolution_backward(dy, _every(x, stride), w, bias_sizes, *_pointwise(w), wanted)
    if wanted[0]:
        whole = torch.zeros_like(x)
        whole[_steps(x, stride)] = dx
        dx = whole
    return tuple(g for g, want in zip((dx, dw, db), wanted, strict=True) if want)


@kernel
def conv_backward_shuffled(
    dy: torch.Tensor, x: torch.Tensor, w: torch.Tensor, *y: torch.Tensor, wanted: Sequence[bool]
) -> tuple[torch.Tensor, ...]:
    """As `conv_backward`, of `conv_shuffled`."""
    return side_by_side_gradients(_before_relu(dy, y), x, w, wanted)


def _before_relu(dy: torch.Tensor, y: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.ops.aten.threshold_backward(dy, y[0], 0) if y else dy


def _steps(x: torch.Tensor, stride: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), slice(None), *(slice(None, None, step) for step in stride))


def _every(x: torch.Tensor, stride: Sequence[int]) -> torch.Tensor:
    return x[_steps(x, stride)].contiguous()


def _pointwise(w: torch.Tensor) -> tuple[list[int], list[int], list[int], bool, list[int], int]:
    rank = w.dim() - 2
    return [1] * rank, [0] * rank, [1] * rank, False, [0] * rank, 1
