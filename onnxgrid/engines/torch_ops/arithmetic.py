"""Sums, products, comparisons and other functions of numbers, element by element or as matrices."""

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


@torch_op("Div")
def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a / b; of whole numbers, rounded towards 0."""
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


@torch_op("Mod")
def modulo(a: torch.Tensor, b: torch.Tensor, *, fmod: int = 0) -> torch.Tensor:
    """What is left of a / b, with the sign of b, or with `fmod` of a."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


without_attributes(
    {
        "Abs": torch.abs,
        "Add": torch.add,
        "And": torch.logical_and,
        "Ceil": torch.ceil,
        "Cos": torch.cos,
        "Equal": torch.eq,
        "Floor": torch.floor,
        "Greater": torch.gt,
        "GreaterOrEqual": torch.ge,
        "Less": torch.lt,
        "LessOrEqual": torch.le,
        "Log": torch.log,
        "MatMul": torch.matmul,
        "Mul": torch.mul,
        "Neg": torch.neg,
        "Not": torch.logical_not,
        "Or": torch.logical_or,
        "Pow": torch.pow,
        "Reciprocal": torch.reciprocal,
        "Round": torch.round,
        "Sign": torch.sign,
        "Sin": torch.sin,
        "Sqrt": torch.sqrt,
        "Sub": torch.sub,
        "Where": torch.where,
        "Xor": torch.logical_xor,
    }
)
