"""What a case of an op is, and tensors that many of them share. All sizes differ: a swapped axis shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["CHANNEL", "MATRIX", "X1", "X3", "Case", "X", "integers", "numbers", "scalar"]


@dataclass(frozen=True)
class Case:
    """A node: its op, its inputs by position (None is left out) and attributes.

    Args:
        differentiable: whether its first output has a gradient.
        opset: the first one that knows this form of the op.
        in_runtime: whether ONNX Runtime computes it as ONNX says; if not, onnx.reference is the oracle.
    """

    op_type: str
    inputs: tuple[np.ndarray | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    differentiable: bool = True
    opset: int = 17
    in_runtime: bool = True


def numbers(*shape: int) -> np.ndarray:
    """Normally distributed float32, the same in every run."""
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, dtype=np.int64)


def scalar(value: float) -> np.ndarray:
    """A float32 of rank 0."""
    return np.array(value, dtype=np.float32)


X1, X, X3 = numbers(2, 4, 9), numbers(2, 4, 8, 11), numbers(2, 2, 5, 6, 7)
CHANNEL = [numbers(4), numbers(4) + 1, numbers(4) - 1, numbers(4) ** 2]
MATRIX = numbers(3, 5)
