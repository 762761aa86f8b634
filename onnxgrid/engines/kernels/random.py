"""Dropout masks."""

import hashlib
from collections.abc import Sequence

import torch

from onnxgrid.engines.kernels.table import kernel

__all__ = ["dropout_mask"]


@kernel
def dropout_mask(
    x: torch.Tensor, seed_and_step: torch.Tensor, *, rate: float, name: str, shared_axes: Sequence[int] = ()
) -> tuple[torch.Tensor, ...]:
    """A float32 mask for x: 0 with probability `rate`, else 1 / (1 - rate).

    A function of seed, step, node name, kind of device and the samples' place in the step alone: processes that share a
    step draw the masks that one would draw.

    Args:
        seed_and_step: `onnxgrid.engines.training_mode.SEED_AND_STEP`.
        shared_axes: axes along which it is the same: of size 1 in the mask.
    """
    sizes = [1 if axis in shared_axes else size for axis, size in enumerate(x.shape)]
    if torch.compiler.is_compiling():
        return (torch.ops.onnxgrid.drawn_mask(seed_and_step, sizes, rate, name, 0 in shared_axes, x.device),)
    return (_drawn_mask(seed_and_step, sizes, rate, name, 0 in shared_axes, x.device),)


def _drawn_mask(
    seed_and_step: torch.Tensor, sizes: Sequence[int], rate: float, name: str, alike: bool, device: torch.device
) -> torch.Tensor:
    """A mask of these sizes; `alike`: all samples have the same."""
    if rate >= 1:
        return torch.zeros(sizes, device=device)
    seed, step, first, batch, rows, _ = seed_and_step.tolist()
    key = hashlib.blake2b(f"{[seed, step]} {name}".encode(), digest_size=7).digest()
    generator = torch.Generator(device=device).manual_seed(int.from_bytes(key, "little"))
    if alike or rows == batch:
        return torch.empty(sizes, device=device).bernoulli_(1 - rate, generator=generator).div_(1 - rate)
    each = sizes[0] // batch  # rows of x that a sample makes: several, where an axis went into the first
    whole = torch.empty([rows * each, *sizes[1:]], device=device).bernoulli_(1 - rate, generator=generator)
    return whole[first * each : (first + batch) * each].div(1 - rate)


torch.library.define(
    "onnxgrid::drawn_mask",
    "(Tensor seed_and_step, SymInt[] sizes, float rate, str name, bool alike, Device device) -> Tensor",
)
torch.library.impl("onnxgrid::drawn_mask", "default", _drawn_mask)


@torch.library.register_fake("onnxgrid::drawn_mask")  # type: ignore[untyped-decorator]
def _mask_of_shape(
    seed_and_step: torch.Tensor, sizes: Sequence[int], rate: float, name: str, alike: bool, device: torch.device
) -> torch.Tensor:
    """What torch.compile knows of a mask, which it does not look into: its draws are not those of its own code."""
    return torch.empty(sizes, device=device)
