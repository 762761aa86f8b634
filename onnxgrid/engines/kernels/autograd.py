"""Any op of `TORCH_OPS`, forward and backward: what runs where no kernel was written by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from onnxgrid.engines.kernels.table import kernel
from onnxgrid.engines.torch_ops import bind_attributes

__all__ = ["torch_op", "vjp"]


@kernel
def torch_op(
    *inputs: torch.Tensor,
    op_type: str,
    attributes: Mapping[str, Any],
    positions: Sequence[int],
    used: Sequence[int] = (),
) -> tuple[torch.Tensor, ...]:
    """The outputs of an op's function in `TORCH_OPS`; arguments as of `vjp`.

    Args:
        used: those that are read. All are given; it is part of the name by which ONNX Runtime knows the gradient.
    """
    arguments: list[torch.Tensor | None] = [None] * (max(positions) + 1)
    for position, tensor in zip(positions, inputs, strict=True):
        arguments[position] = tensor
    y = bind_attributes("", op_type, attributes)(*arguments)
    return y if isinstance(y, tuple) else (y,)


@kernel
def vjp(
    *tensors: torch.Tensor,
    op_type: str,
    attributes: Mapping[str, Any],
    positions: Sequence[int],
    outputs: Sequence[int],
    differentiable: Sequence[int],
) -> tuple[torch.Tensor, ...]:
    """The gradients of an op's inputs, by torch's autograd over the op's function in `TORCH_OPS`.

    Args:
        tensors: gradients of some of the op's outputs, then the op's inputs that are present.
        positions: which input of the op each of those is; the op's other inputs are left out.
        outputs: which outputs the gradients are of.
        differentiable: which of the inputs that are present get a gradient, by their place among these.
    """
    dys, inputs = tensors[: len(outputs)], tensors[len(outputs) :]
    given = [tensor.detach().requires_grad_(i in differentiable) for i, tensor in enumerate(inputs)]
    with torch.enable_grad():
        ys = torch_op(*given, op_type=op_type, attributes=attributes, positions=positions)
    return torch.autograd.grad([ys[i] for i in outputs], [given[i] for i in differentiable], dys)
