"""The same elements in another place, shape or type."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.padding import begin_end, torch_pads
from onnxgrid.engines.torch_ops.table import torch_op


@torch_op("Pad")
def pad(
    x: torch.Tensor, pads: torch.Tensor, value: torch.Tensor | None = None, *, mode: str = "constant"
) -> torch.Tensor:
    """x with cells around it, all of one value, 0 by default. Raises ValueError for other modes."""
    if mode != "constant":
        raise ValueError(f"Pad with {mode=} has no torch counterpart here")
    begin, end = begin_end(pads.tolist(), x.dim())
    return F.pad(x, torch_pads(begin, end), value=0.0 if value is None else float(value))


@torch_op("Slice")
def slice_(
    x: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    axes: torch.Tensor | None = None,
    steps: torch.Tensor | None = None,
) -> torch.Tensor:
    """The cells of x from `starts` to before `ends` along `axes`, the first ones by default.

    Raises ValueError for steps below 1.
    """
    count = starts.numel()
    along = list(range(count)) if axes is None else axes.tolist()
    strides = [1] * count if steps is None else steps.tolist()
    if min(strides, default=1) < 1:
        raise ValueError(f"Slice with steps {strides} has no torch counterpart here")
    cut = [slice(None)] * x.dim()
    for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), strides, strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


@torch_op("Split")
def split(x: torch.Tensor, sizes: torch.Tensor, *, axis: int = 0) -> tuple[torch.Tensor, ...]:
    """x cut into parts of these sizes along an axis."""
    return tuple(torch.split_with_sizes(x, sizes.tolist(), axis))


@torch_op("Concat")
def concat(*inputs: torch.Tensor, axis: int) -> torch.Tensor:
    """The inputs joined along an axis."""
    return torch.cat(inputs, dim=axis)


@torch_op("Transpose")
def transpose(x: torch.Tensor, *, perm: Sequence[int] = ()) -> torch.Tensor:
    """x with its axes in the order `perm`, reversed by default."""
    return x.permute(*(perm or range(x.dim() - 1, -1, -1)))


@torch_op("Flatten")
def flatten(x: torch.Tensor, *, axis: int = 1) -> torch.Tensor:
    """x as a matrix: axes before `axis` become rows, the others columns."""
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


@torch_op("Reshape")
def reshape(x: torch.Tensor, shape: torch.Tensor, *, allowzero: int = 0) -> torch.Tensor:
    """x in a new shape; 0 keeps the input's size there unless `allowzero`."""
    sizes = shape.tolist()
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


@torch_op("Squeeze")
def squeeze(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
    """x without these axes of size 1, or without all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


@torch_op("Unsqueeze")
def unsqueeze(x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """x with axes of size 1 inserted; `axes` count in the result."""
    rank = x.dim() + axes.numel()
    for axis in sorted(a % rank for a in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


@torch_op("Expand")
def expand(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """x repeated along axes of size 1 so that it broadcasts with a tensor of this shape."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))  # type: ignore[no-untyped-call]


@torch_op("Shape")
def shape(x: torch.Tensor) -> torch.Tensor:
    """The sizes of x, int64."""
    return torch.tensor(x.shape)


@torch_op("Gather")
def gather(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """The entries of x along an axis that the indices name, which take the axis' place."""
    axis %= x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    return x.index_select(axis, indices.flatten()).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@torch_op("Cast")
def cast(x: torch.Tensor, *, to: int) -> torch.Tensor:
    """x in another type, named by its ONNX number: float32, int32, int64 or boolean. Raises ValueError for others."""
    types = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}
    if to not in types:
        raise ValueError(f"Cast with {to=} has no torch counterpart here")
    return x.to(types[to])


@torch_op("Identity")
def identity(x: torch.Tensor) -> torch.Tensor:
    """x."""
    return x


@torch_op("Dropout")
def dropout(
    x: torch.Tensor, ratio: torch.Tensor | None = None, training_mode: torch.Tensor | None = None, *, seed: int = 0
) -> torch.Tensor:
    """x: in training graphs a multiplication with a mask stands in its place."""
    return x
