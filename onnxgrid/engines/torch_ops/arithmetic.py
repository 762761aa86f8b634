"""Sums, products and comparisons of tensors."""

import functools

import torch

from onnxgrid.engines.torch_ops.table import torch_op, without_attributes


@torch_op("Gemm")
def gemm(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> torch.Tensor:
    """alpha * a' @ b' + beta * c, all of rank 2."""
    a, b = a.t() if transA else a, b.t() if transB else b
    if c is None:
        return alpha * (a @ b)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha)


@torch_op("Einsum")
def einsum(*inputs: torch.Tensor, equation: str) -> torch.Tensor:
    """Products of the inputs, summed over the letters that the result lacks."""
    return torch.einsum(equation, *inputs)


@torch_op("Max")
def maximum(*inputs: torch.Tensor) -> torch.Tensor:
    """The largest of the inputs, element by element."""
    return functools.reduce(torch.maximum, inputs)


@torch_op("Min")
def minimum(*inputs: torch.Tensor) -> torch.Tensor:
    """The smallest of the inputs, element by element."""
    return functools.reduce(torch.minimum, inputs)


@torch_op("Sum")
def total(*inputs: torch.Tensor) -> torch.Tensor:
    """The sum of the inputs."""
    return functools.reduce(torch.add, inputs)


@torch_op("Mean")
def mean(*inputs: torch.Tensor) -> torch.Tensor:
    """The mean of the inputs."""
    return functools.reduce(torch.add, inputs) / len(inputs)


without_attributes(
    {
        "Add": torch.add,
        "Div": torch.div,
        "Greater": torch.gt,
        "GreaterOrEqual": torch.ge,
        "Less": torch.lt,
        "MatMul": torch.matmul,
        "Mul": torch.mul,
        "Neg": torch.neg,
        "Sqrt": torch.sqrt,
        "Sub": torch.sub,
        "Where": torch.where,
    }
)
