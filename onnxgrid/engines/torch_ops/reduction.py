"""One number for an axis, or several."""

from collections.abc import Callable, Sequence

import torch

from onnxgrid.engines.torch_ops.host import HostIntegers, integers
from onnxgrid.engines.torch_ops.table import TorchFunction, torch_op

Reduce = Callable[[torch.Tensor, tuple[int, ...], bool], torch.Tensor]
"""x, axes, whether they stay as axes of size 1 -> the reduced tensor."""


def _over_axes(reduce: Reduce) -> TorchFunction:
    """The op's function: axes are an attribute or, since opset 13 or 18, an input; all axes by default."""

    def reduced(
        x: torch.Tensor,
        axes_input: HostIntegers | None = None,
        *,
        axes: Sequence[int] = (),
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> torch.Tensor:
        along = tuple(axes if axes_input is None else integers(axes_input))
        if not along and noop_with_empty_axes:
            return x
        return reduce(x, along or tuple(range(x.dim())), bool(keepdims))

    return reduced


def _product(x: torch.Tensor, axes: tuple[int, ...], keepdims: bool) -> torch.Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keepdims)
    return x


def _length(x: torch.Tensor, axes: tuple[int, ...], keepdims: bool) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(x, dim=axes, keepdim=keepdims)
    return length


REDUCTIONS: dict[str, Reduce] = {
    "ReduceL1": lambda x, axes, keepdims: x.abs().sum(axes, keepdim=keepdims),
    "ReduceL2": _length,
    "ReduceLogSum": lambda x, axes, keepdims: x.sum(axes, keepdim=keepdims).log(),
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": lambda x, axes, keepdims: x.mean(axes, keepdim=keepdims),
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": lambda x, axes, keepdims: x.sum(axes, keepdim=keepdims),
    "ReduceSumSquare": lambda x, axes, keepdims: x.square().sum(axes, keepdim=keepdims),
}

for _op_type, _reduce in REDUCTIONS.items():
    torch_op(_op_type, host=(1,))(_over_axes(_reduce))
