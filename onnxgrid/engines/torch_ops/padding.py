"""Padding as ONNX and as torch write it."""

from collections.abc import Sequence

import torch

__all__ = ["begin_end", "resolved_pads", "torch_pads"]


def begin_end(pads: Sequence[int], rank: int) -> tuple[Sequence[int], Sequence[int]]:
    """ONNX's `pads` of `rank` axes, none if empty, as (all begins, all ends)."""
    return (pads[:rank], pads[rank:]) if pads else ([0] * rank, [0] * rank)


def torch_pads(begin: Sequence[int], end: Sequence[int]) -> list[int]:
    """ONNX order (all begins, all ends) -> torch order (last axis first, begin and end together)."""
    return [amount for pair in zip(reversed(begin), reversed(end), strict=True) for amount in pair]


def _same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], upper: bool
) -> tuple[list[int], list[int]]:
    begin, end = [], []
    for size, extent, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return begin, end


def resolved_pads(
    x: torch.Tensor, auto_pad: str, pads: Sequence[int], extent: Sequence[int], strides: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]]:
    """(begins, ends) of the spatial axes of x (N, C, s...) for windows of this extent, as `auto_pad` or `pads` say."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return _same_pads(x.shape[2:], extent, strides, auto_pad == "SAME_UPPER")
    return begin_end(pads, x.dim() - 2)
