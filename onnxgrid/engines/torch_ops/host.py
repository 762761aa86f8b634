"""Host inputs as Python numbers, whether they come as tensors or as numbers already."""

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["HostFloat", "HostFloats", "HostIntegers", "integers", "number", "numbers"]

HostIntegers = torch.Tensor | Sequence[int]
HostFloats = torch.Tensor | Sequence[float]
HostFloat = torch.Tensor | float


def integers(values: HostIntegers) -> list[int]:
    """A vector of whole numbers; an empty one for a missing shape of rank 0."""
    return _listed(values)


def numbers(values: HostFloats) -> list[float]:
    """A vector of numbers."""
    return _listed(values)


def number(value: HostFloat) -> Any:
    """One number: an int or a float, as it was."""
    return value.item() if isinstance(value, torch.Tensor) else value


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, torch.Tensor) else list(values)
