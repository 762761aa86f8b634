"""Numbers that come from no tensor's values: sizes, ranges, constants; and the same elements in another type."""

from collections.abc import Mapping
from typing import Any

import torch

from onnxgrid.engines.torch_ops.host import HostFloat, HostIntegers, integers, number
from onnxgrid.engines.torch_ops.table import torch_op

_TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""ONNX's number of a type -> torch's."""


@torch_op("Shape")
def shape(x: torch.Tensor, *, start: int = 0, end: int | None = None) -> torch.Tensor:
    """The sizes of x from axis `start` to before `end`, int64, on the CPU."""
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


@torch_op("Size")
def size(x: torch.Tensor) -> torch.Tensor:
    """The number of elements of x, int64, on the CPU."""
    return torch.tensor(x.numel())


@torch_op("ConstantOfShape", host=(0,))
def constant_of_shape(shape: HostIntegers, *, value: torch.Tensor | None = None) -> torch.Tensor:
    """One value, float32 0 by default, everywhere in a tensor of this shape, on the CPU."""
    one = torch.zeros(1) if value is None else value
    return torch.full(integers(shape), one.item(), dtype=one.dtype)


@torch_op("Range", host=(0, 1, 2))
def range_(start: HostFloat, limit: HostFloat, delta: HostFloat) -> torch.Tensor:
    """start, start + delta, ... before the limit, on the CPU; int64 if these are whole numbers, else float32."""
    first, last, step = number(start), number(limit), number(delta)
    return torch.arange(first, last, step, dtype=torch.int64 if isinstance(first, int) else torch.float32)


def _cast_refusal(attributes: Mapping[str, Any]) -> str | None:
    to = attributes.get("to")
    return None if to in _TYPES else f"has to {to}; known are {', '.join(map(str, _TYPES))}"


@torch_op("Cast", refusal=_cast_refusal)
def cast(x: torch.Tensor, *, to: int, saturate: int = 1) -> torch.Tensor:
    """x in another type, named by its ONNX number."""
    return x.to(_TYPES[to])


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
