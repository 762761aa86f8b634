"""One number for an axis, or several."""

from collections.abc import Sequence

import torch

from onnxgrid.engines.torch_ops.table import torch_op


@torch_op("ReduceMean")
def reduce_mean(x: torch.Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> torch.Tensor:
    """The mean over these axes, or over all."""
    return x.mean(dim=tuple(axes) or tuple(range(x.dim())), keepdim=bool(keepdims))


@torch_op("ReduceL2")
def reduce_l2(x: torch.Tensor, *, axes: Sequence[int] = (), keepdims: int = 1) -> torch.Tensor:
    """The Euclidean length along these axes, or of all."""
    length: torch.Tensor = torch.linalg.vector_norm(x, dim=tuple(axes) or None, keepdim=bool(keepdims))
    return length
