"""Functions that ATen nodes of a training graph run: `KERNELS[operator](*tensors, **arguments)` gives the node's
outputs.

The torch engine calls them directly; the ort engine through `onnxgrid.engines.aten_bridge`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from onnxgrid.engines.torch_ops import bind_attributes

__all__ = ["KERNELS"]

Kernel = Callable[..., tuple[torch.Tensor, ...]]

KERNELS: dict[str, Kernel] = {}


def kernel(function: Kernel) -> Kernel:
    """Register a function under its own name."""
    KERNELS[function.__name__] = function
    return function


@kernel
def dropout_mask(
    x: torch.Tensor, seed_and_step: torch.Tensor, *, rate: float, name: str, shared_axes: Sequence[int] = ()
) -> tuple[torch.Tensor, ...]:
    """A float32 mask for x: 0 with probability `rate`, else 1 / (1 - rate); a function of seed, step, node name and
    kind of device alone.

    Args:
        shared_axes: axes along which it is the same: of size 1 in the mask.
    """
    sizes = [1 if axis in shared_axes else size for axis, size in enumerate(x.shape)]
    if torch.compiler.is_compiling():
        return (torch.ops.onnxgrid.drawn_mask(seed_and_step, sizes, rate, name, x.device),)
    return (_drawn_mask(seed_and_step, sizes, rate, name, x.device),)


def _drawn_mask(
    seed_and_step: torch.Tensor, sizes: Sequence[int], rate: float, name: str, device: torch.device
) -> torch.Tensor:
    if rate >= 1:
        return torch.zeros(sizes, device=device)
    key = hashlib.blake2b(f"{seed_and_step.tolist()} {name}".encode(), digest_size=7).digest()
    generator = torch.Generator(device=device).manual_seed(int.from_bytes(key, "little"))
    mask = torch.empty(sizes, device=device).bernoulli_(1 - rate, generator=generator)
    return mask.div_(1 - rate)


torch.library.define(
    "onnxgrid::drawn_mask", "(Tensor seed_and_step, SymInt[] sizes, float rate, str name, Device device) -> Tensor"
)
torch.library.impl("onnxgrid::drawn_mask", "default", _drawn_mask)


@torch.library.register_fake("onnxgrid::drawn_mask")  # type: ignore[untyped-decorator]
def _mask_of_shape(
    seed_and_step: torch.Tensor, sizes: Sequence[int], rate: float, name: str, device: torch.device
) -> torch.Tensor:
    """What torch.compile knows of a mask, which it does not look into: its draws are not those of its own code."""
    return torch.empty(sizes, device=device)


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
def torch_op(
    *inputs: torch.Tensor, op_type: str, attributes: Mapping[str, Any], positions: Sequence[int]
) -> tuple[torch.Tensor, ...]:
    """The outputs of an op's function in `TORCH_OPS`; arguments as of `vjp`."""
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
