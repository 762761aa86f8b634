"""Functions that ATen nodes of a training graph run: `KERNELS[operator](*tensors, **arguments)` gives the node's
outputs.

The torch engine calls them directly; the ort engine through `onnxgrid.engines.aten_bridge`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from onnxgrid.engines.synchronized_norm import batch_norm, batch_norm_backward
from onnxgrid.engines.torch_ops import bind_attributes

__all__ = ["KERNELS"]

Kernel = Callable[..., tuple[torch.Tensor, ...]]

KERNELS: dict[str, Kernel] = {}


def kernel(function: Kernel) -> Kernel:
    """Register a function under its own name."""
    KERNELS[function.__name__] = function
    return function


for _function in (batch_norm, batch_norm_backward):
    kernel(_function)


@kernel
def dropout_mask(
    x: torch.Tensor, seed_and_step: torch.Tensor, *, rate: float, name: str, shared_axes: Sequence[int] = ()
) -> tuple[torch.Tensor, ...]:
    """A mask for x: 0 with probability `rate`, else 1 / (1 - rate).

    A function of seed, step, node name and the samples' place in the step alone: processes that share a step draw the
    masks that one would draw.

    Args:
        seed_and_step: as `onnxgrid.engines.training_mode.SEED_AND_STEP`.
        shared_axes: axes along which it is the same: of size 1 in the mask.
    """
    seed, step, first, batch, rows, _ = seed_and_step.tolist()
    sizes = [1 if axis in shared_axes else size for axis, size in enumerate(x.shape)]
    if rate >= 1:
        return (torch.zeros(sizes, device=x.device),)
    key = hashlib.blake2b(f"{[seed, step]} {name}".encode(), digest_size=7).digest()
    generator = torch.Generator(device=x.device).manual_seed(int.from_bytes(key, "little"))
    is_part = rows != batch and 0 not in shared_axes
    if is_part:  # the masks of the whole step are drawn, in whichever of its parts
        each = sizes[0] // batch  # rows of x that a sample makes: several, where an axis went into the first
        sizes[0] = rows * each
    mask = torch.empty(sizes, device=x.device).bernoulli_(1 - rate, generator=generator)
    if is_part:
        mask = mask[first * each : (first + batch) * each].clone()
    return (mask.div_(1 - rate),)


@kernel
def conv_backward(
    dy: torch.Tensor,
    x: torch.Tensor,
    w: torch.Tensor,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[torch.Tensor, ...]:
    """Those of the gradients (dx, dw, db) of a (transposed) convolution that are wanted.

    Padding is the same at both ends.
    """
    bias_sizes = [w.shape[1] * groups if transposed else w.shape[0]] if wanted[2] else None
    gradients = torch.ops.aten.convolution_backward(
        dy, x, w, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, wanted
    )
    return tuple(g for g, want in zip(gradients, wanted, strict=True) if want)


@kernel
def relu_backward(dy: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """dy where the output y of a Relu is positive, else 0."""
    return (torch.ops.aten.threshold_backward(dy, y, 0),)


@kernel
def vjp(
    dy: torch.Tensor,
    *inputs: torch.Tensor,
    op_type: str,
    attributes: Mapping[str, Any],
    positions: Sequence[int],
    differentiable: Sequence[int],
) -> tuple[torch.Tensor, ...]:
    """The gradients of an op's inputs, by torch's autograd over the op's function in `TORCH_OPS`.

    Args:
        dy: gradient of the op's first output.
        inputs: the op's inputs that are present.
        positions: which input of the op each of them is; the op's other inputs are left out.
        differentiable: positions for which a gradient is wanted.
    """
    arguments: list[torch.Tensor | None] = [None] * (max(positions) + 1)
    for position, tensor in zip(positions, inputs, strict=True):
        arguments[position] = tensor.detach().requires_grad_(position in differentiable)
    with torch.enable_grad():
        y = bind_attributes("", op_type, attributes)(*arguments)
        y = y[0] if isinstance(y, tuple) else y
    leaves = [arguments[position] for position in differentiable]
    return torch.autograd.grad(y, leaves, dy)  # type: ignore[arg-type]
