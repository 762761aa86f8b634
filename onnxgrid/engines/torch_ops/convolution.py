"""Convolutions and transposed convolutions in one, two and three dimensions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.padding import begin_end, resolved_pads, torch_pads
from onnxgrid.engines.torch_ops.table import torch_op

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@torch_op("Conv")
def conv(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> torch.Tensor:
    """x (N, C, s...), w (M, C/group, k...), b (M,) -> (N, M, s'...)."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    extent = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    begin, end = resolved_pads(x, auto_pad, pads, extent, strides)
    if list(begin) != list(end):
        x, begin = F.pad(x, torch_pads(begin, end)), [0] * rank
    return _CONVOLUTIONS[rank](x, w, b, strides, list(begin), dilations, group)


@torch_op("ConvTranspose")
def conv_transpose(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    output_padding: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
) -> torch.Tensor:
    """x (N, C, s...), w (C, M/group, k...), b (M,) -> (N, M, s'...); `pads` crop the result."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    begin, end = begin_end(pads, rank)
    cropped = [0] * rank if list(begin) != list(end) else list(begin)
    y = _TRANSPOSED[rank](x, w, b, strides, cropped, list(output_padding) or [0] * rank, group, dilations)
    if list(begin) != list(end):
        for axis, (first, last) in enumerate(zip(begin, end, strict=True), start=2):
            y = y.narrow(axis, first, y.shape[axis] - first - last)
    return y
