"""Convolutions of a single volume by oneDNN, which torch takes for several or for large ones alone.

torch 2.13 computes a float32 convolution in 3D of one sample by products of matrices, unless channels times depth times
height are more than 20,480: for 16 channels of 32 x 32 x 32 cells that takes ten times as long. What is handed over in
oneDNN's own layout is computed by oneDNN in any case. Source: aten/src/ATen/native/Convolution.cpp, `use_mkldnn`.
"""

from collections.abc import Sequence
from math import prod

import torch

__all__ = ["computed_slowly", "convolve", "gradients"]

LARGE = 20480
"""Channels times depth times height of one sample from which on torch takes oneDNN by itself."""


def computed_slowly(x: torch.Tensor, w: torch.Tensor, groups: int) -> bool:
    """Whether torch leaves the convolution of x (N, C, D, H, W) with w (O, C, k, k, k) to the slower kernel."""
    return (
        x.dim() == 5
        and x.shape[0] == 1
        and groups == 1
        and prod(x.shape[:4]) <= LARGE
        and prod(w.shape[2:]) > 1
        and min(w.shape[3:]) <= 3
        and x.dtype == w.dtype == torch.float32
        and x.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def convolve(
    x: torch.Tensor,
    w: torch.Tensor,
    b: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """The convolution, which autograd can differentiate; its channels are innermost in memory if those of x are."""
    y: torch.Tensor = torch.ops.aten.convolution(
        x.to_mkldnn(), w, b, stride, padding, dilation, False, [0, 0, 0], 1
    ).to_dense()
    innermost = x.is_contiguous(memory_format=torch.channels_last_3d)
    return y.contiguous(memory_format=torch.channels_last_3d) if innermost else y


def gradients(
    dy: torch.Tensor,
    x: torch.Tensor,
    w: torch.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    wanted: Sequence[bool],
) -> tuple[torch.Tensor, ...]:
    """(dx, dw, db) of the convolution; what is not wanted may be anything."""
    found = torch.ops.aten.convolution_backward(
        dy.to_mkldnn(), x.to_mkldnn(), w, [w.shape[0]], stride, padding, dilation, False, [0, 0, 0], 1, wanted
    )
    return tuple(g.to_dense() if g is not None and g.is_mkldnn else g for g in found)
