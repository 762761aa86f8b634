"""Pooling: windows and whole images."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.padding import resolved_pads, torch_pads
from onnxgrid.engines.torch_ops.table import torch_op

_MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@torch_op("MaxPool")
def max_pool(
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...); padding never wins. The indices output is not given."""
    rank = x.dim() - 2
    strides, dilations = list(strides) or [1] * rank, list(dilations) or [1] * rank
    extent = [(k - 1) * d + 1 for k, d in zip(kernel_shape, dilations, strict=True)]
    begin, end = resolved_pads(x, auto_pad, pads, extent, strides)
    if list(begin) != list(end) or any(2 * p > k for p, k in zip(begin, kernel_shape, strict=True)):
        x, begin = F.pad(x, torch_pads(begin, end), value=float("-inf")), [0] * rank
    return _MAX_POOLS[rank](x, list(kernel_shape), strides, list(begin), dilations, bool(ceil_mode))


def _average_pool_refusal(attributes: Mapping[str, Any]) -> str | None:
    if attributes.get("ceil_mode", 0) and attributes.get("count_include_pad", 0):
        return (
            "has ceil_mode and count_include_pad; known is either alone"  # runtimes count its last windows differently
        )
    return None


@torch_op("AveragePool", refusal=_average_pool_refusal)
def average_pool(
    x: torch.Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...); the mean of the cells that are there, or with `count_include_pad` of all."""
    rank = x.dim() - 2
    strides = list(strides) or [1] * rank
    begin, end = resolved_pads(x, auto_pad, pads, kernel_shape, strides)
    pool = _AVERAGE_POOLS[rank]
    if list(begin) == list(end) and all(2 * p <= k for p, k in zip(begin, kernel_shape, strict=True)):
        return pool(x, list(kernel_shape), strides, list(begin), bool(ceil_mode), bool(count_include_pad))
    around = torch_pads(begin, end)
    y = pool(F.pad(x, around), list(kernel_shape), strides, 0, bool(ceil_mode))
    if count_include_pad:
        return y
    share = pool(F.pad(torch.ones_like(x[:1, :1]), around), list(kernel_shape), strides, 0, bool(ceil_mode))
    return y / share


@torch_op("GlobalAveragePool")
def global_average_pool(x: torch.Tensor) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, 1...)."""
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


@torch_op("GlobalMaxPool")
def global_max_pool(x: torch.Tensor) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, 1...)."""
    return x.flatten(2).max(dim=2).values.reshape(*x.shape[:2], *[1] * (x.dim() - 2))
