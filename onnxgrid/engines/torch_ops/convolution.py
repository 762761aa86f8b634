"""Convolutions and transposed convolutions in one, two and three dimensions."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines import one_volume
from onnxgrid.engines.memory_format import FORMATS
from onnxgrid.engines.torch_ops.padding import begin_end, resolved_pads, torch_pads
from onnxgrid.engines.torch_ops.table import torch_op
from onnxgrid.engines.windows import side_by_side_gradients

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
    if one_volume.computed_slowly(x, w, group):
        return one_volume.convolve(x, w, b, strides, list(begin), dilations)
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
    output_shape: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> torch.Tensor:
    """x (N, C, s...), w (C, M/group, k...), b (M,) -> (N, M, s'...); `pads` crop the result, as do those that
    `output_shape` or SAME asks for: size times stride.
    """
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    added = list(output_padding) or [0] * rank
    begin, end = begin_end(pads, rank)
    if output_shape or auto_pad.startswith("SAME"):
        extent = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
        full = [(n - 1) * s + e + a for n, s, e, a in zip(x.shape[2:], strides, extent, added, strict=True)]
        wanted = list(output_shape)[-rank:] or [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        begin, end = _crops(full, wanted, begin_larger=auto_pad != "SAME_UPPER")
        added = [a - min(last, 0) for a, last in zip(added, end, strict=True)]
        end = [max(last, 0) for last in end]
    if any(added):
        x = x.contiguous()  # with channels last, torch 2.13's gradient writes beyond its memory
    plain = group == 1 and set(dilations) == {1} and not any([*begin, *end, *added])
    if plain and list(w.shape[2:]) == strides and _gradient_is_slow(x):
        y: torch.Tensor = _WindowsSideBySide.apply(x, w, b)  # type: ignore[no-untyped-call]
        return y
    cropped = [0] * rank if list(begin) != list(end) else list(begin)
    y = _TRANSPOSED[rank](x, w, b, strides, cropped, added, group, dilations)
    if list(begin) != list(end):
        for axis, (first, last) in enumerate(zip(begin, end, strict=True), start=2):
            y = y.narrow(axis, first, y.shape[axis] - first - last)
    return y


def _gradient_is_slow(x: torch.Tensor) -> bool:
    """Whether torch's gradient of a transposed convolution takes twice as long as products of matrices: on a CPU, with
    channels innermost. Autocast would want it in another type.
    """
    innermost = x.dim() in FORMATS and x.is_contiguous(memory_format=FORMATS[x.dim()])
    return x.device.type == "cpu" and innermost and not torch.is_autocast_enabled("cpu")


class _WindowsSideBySide(torch.autograd.Function):
    """A transposed convolution whose windows do not overlap, with a gradient of products of matrices."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        return _TRANSPOSED[x.dim() - 2](x, w, b, list(w.shape[2:]))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[torch.Tensor | None, ...]:
        wanted = ctx.needs_input_grad
        x, w = ctx.saved_tensors
        computed = iter(side_by_side_gradients(grad_outputs[0], x, w, wanted))
        return tuple(next(computed) if want else None for want in wanted)


def _crops(full: Sequence[int], wanted: Sequence[int], *, begin_larger: bool) -> tuple[list[int], list[int]]:
    """Cells to cut off at the begin and end of each axis; below 0 at the end where the result is too small."""
    begin, end = [], []
    for have, want in zip(full, wanted, strict=True):
        total = max(have - want, 0)
        first = total - total // 2 if begin_larger else total // 2
        begin.append(first)
        end.append(have - want - first)
    return begin, end
