"""The same elements in another place or shape."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.host import HostFloat, HostIntegers, integers, number
from onnxgrid.engines.torch_ops.padding import begin_end, torch_pads
from onnxgrid.engines.torch_ops.table import torch_op

_PAD_MODES = ("constant", "edge", "reflect", "wrap")


def _pad_refusal(attributes: Mapping[str, Any]) -> str | None:
    mode = attributes.get("mode", "constant")
    return None if mode in _PAD_MODES else f"has mode {mode}; known are {', '.join(_PAD_MODES)}"


@torch_op("Pad", refusal=_pad_refusal, host=(1, 2, 3))
def pad(
    x: torch.Tensor,
    pads: HostIntegers,
    value: HostFloat | None = None,
    axes: HostIntegers | None = None,
    *,
    mode: str = "constant",
) -> torch.Tensor:
    """x with cells around it: of one value, 0 by default; of the nearest cell; mirrored; or from the other end.

    Negative amounts cut cells off.
    """
    along = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in integers(axes)]
    given = begin_end(integers(pads), len(along))
    begin, end = [0] * x.dim(), [0] * x.dim()
    for axis, first, last in zip(along, *given, strict=True):
        begin[axis], end[axis] = first, last
    if mode == "constant":
        return F.pad(x, torch_pads(begin, end), value=0.0 if value is None else float(number(value)))
    for axis, (first, last) in enumerate(zip(begin, end, strict=True)):
        if first or last:
            x = x.index_select(axis, _sources(x.shape[axis], first, last, mode, x.device))
    return x


def _sources(size: int, first: int, last: int, mode: str, device: torch.device) -> torch.Tensor:
    """Which cell each cell of a padded axis copies."""
    place = torch.arange(-first, size + last, device=device)
    if mode == "edge":
        return place.clamp(0, size - 1)
    if mode == "wrap":
        return place % size
    period = max(2 * (size - 1), 1)
    return (size - 1) - ((place % period) - (size - 1)).abs()


@torch_op("Slice", host=(1, 2, 3, 4))
def slice_(
    x: torch.Tensor,
    starts: HostIntegers,
    ends: HostIntegers,
    axes: HostIntegers | None = None,
    steps: HostIntegers | None = None,
) -> torch.Tensor:
    """The cells of x from `starts` to before `ends` along `axes`, the first ones by default; backwards where the step
    is negative.
    """
    first, last = integers(starts), integers(ends)
    along = list(range(len(first))) if axes is None else integers(axes)
    strides = [1] * len(first) if steps is None else integers(steps)
    cut = [slice(None)] * x.dim()
    backwards = []
    for axis, start, end, step in zip(along, first, last, strides, strict=True):
        axis %= x.dim()
        if step < 0:
            cells = range(*slice(start, end if end >= -x.shape[axis] else None, step).indices(x.shape[axis]))
            cut[axis] = slice(cells[-1], cells[0] + 1, -step) if cells else slice(0, 0)
            backwards.append(axis)
        else:
            cut[axis] = slice(start, end, step)
    y = x[tuple(cut)]
    return y.flip(backwards) if backwards else y


@torch_op("Split", host=(1,), several_outputs=True)
def split(
    x: torch.Tensor, sizes: HostIntegers | None = None, *, axis: int = 0, num_outputs: int = 0
) -> tuple[torch.Tensor, ...]:
    """x cut into parts of these sizes along an axis, or into `num_outputs` alike, of which the last may be smaller."""
    if sizes is None:
        return torch.split(x, -(-x.shape[axis] // num_outputs), axis)
    return tuple(torch.split_with_sizes(x, integers(sizes), axis))


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


@torch_op("Reshape", host=(1,))
def reshape(x: torch.Tensor, shape: HostIntegers, *, allowzero: int = 0) -> torch.Tensor:
    """x in a new shape; 0 keeps the input's size there unless `allowzero`."""
    sizes = integers(shape)
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


@torch_op("Squeeze", host=(1,))
def squeeze(x: torch.Tensor, axes: HostIntegers | None = None) -> torch.Tensor:
    """x without these axes of size 1, or without all."""
    return x.squeeze() if axes is None else x.squeeze(tuple(integers(axes)))


@torch_op("Unsqueeze", host=(1,))
def unsqueeze(x: torch.Tensor, axes: HostIntegers) -> torch.Tensor:
    """x with axes of size 1 inserted; `axes` count in the result."""
    places = integers(axes)
    rank = x.dim() + len(places)
    for axis in sorted(a % rank for a in places):
        x = x.unsqueeze(axis)
    return x


@torch_op("Expand", host=(1,))
def expand(x: torch.Tensor, shape: HostIntegers) -> torch.Tensor:
    """x repeated along axes of size 1 so that it broadcasts with a tensor of this shape."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(integers(shape))))  # type: ignore[no-untyped-call]


@torch_op("Tile", host=(1,))
def tile(x: torch.Tensor, repeats: HostIntegers) -> torch.Tensor:
    """x, one after the other, so many times along each axis."""
    return x.repeat(integers(repeats))


@torch_op("DepthToSpace")
def depth_to_space(x: torch.Tensor, *, blocksize: int, mode: str = "DCR") -> torch.Tensor:
    """x (N, b b C, H, W) -> (N, C, b H, b W); the channels of a cell lie far apart (DCR) or together (CRD)."""
    if mode == "CRD":
        return F.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    blocks = x.reshape(n, blocksize, blocksize, c // blocksize**2, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, c // blocksize**2, h * blocksize, w * blocksize)


@torch_op("SpaceToDepth")
def space_to_depth(x: torch.Tensor, *, blocksize: int) -> torch.Tensor:
    """x (N, C, b H, b W) -> (N, b b C, H, W)."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


@torch_op("Gather")
def gather(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """The entries of x along an axis that the indices name, which take the axis' place."""
    axis %= x.dim()
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    return x.index_select(axis, indices.flatten()).reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@torch_op("GatherElements")
def gather_elements(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """The entries of x whose place along an axis the indices name, in the indices' shape."""
    return x.gather(axis, torch.where(indices < 0, indices + x.shape[axis], indices))


@torch_op("GatherND")
def gather_nd(x: torch.Tensor, indices: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """The entries, or slices, of x at the places in the last axis of the indices, sample by sample of the first
    `batch_dims` axes.
    """
    places = [places.long() for places in indices.unbind(-1)]
    rank = indices.dim() - 1
    batch = [
        torch.arange(x.shape[i], device=x.device).reshape([-1 if j == i else 1 for j in range(rank)])
        for i in range(batch_dims)
    ]
    return x[(*batch, *places)]
