"""Arrays of more or fewer channels."""

from collections.abc import Callable
from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.kernels import is_kernel
from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step, adaptation_rule
from onnxgrid.transplant.usage import Flattened

__all__ = ["slice_pad"]

BY_CHANNEL = (
    "Add",
    "BatchNormalization",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "InstanceNormalization",
    "LayerNormalization",
)
"""Operators that read vectors with one number for each channel."""

RECURRENT_NAMES = (".weight_ih", ".weight_hh", ".bias_ih", ".bias_hh")


@adaptation_rule("slice-pad")
def slice_pad(now: Slot, target: Slot) -> Step | None:
    """Keep the first channels; of more channels, the others start as the target has them.

    In the rows of the output channels that are kept, new input channels count zero. Preserved: the kept output channels
    on inputs whose first channels are the old ones, whatever stands in the new ones. New output channels keep the
    target's values, and not zeros, so that training can reach them. Not for grouped convolutions, whose groups would
    mix, nor for recurrent layers, whose first axis holds gates.
    """
    if len(now.shape) != len(target.shape) or not now.shape or now.shape == target.shape:
        return None
    if len(now.shape) == 1:
        return _vector(now, target)
    if is_kernel(target) and is_kernel(now):
        return _kernel(now, target)
    if len(now.shape) == 2 and (target.use is None or target.use.multiplies) and not _is_recurrent(target):
        return _dense(now, target)
    return None


def _is_recurrent(slot: Slot) -> bool:
    return any(part in slot.name for part in RECURRENT_NAMES)


def _vector(now: Slot, target: Slot) -> Step | None:
    if _is_recurrent(target) or (target.use is not None and target.use.op_type not in BY_CHANNEL):
        return None
    return _step(now, target.shape, partial(_fill, output_axis=0))


def _kernel(now: Slot, target: Slot) -> Step | None:
    if any(slot.use is not None and slot.use.groups not in (1, slot.shape[0]) for slot in (now, target)):
        return None
    transposed = target.use is not None and target.use.op_type == "ConvTranspose"
    shape = (*target.shape[:2], *now.shape[2:])
    return None if shape == now.shape else _step(now, shape, partial(_fill, output_axis=1 if transposed else 0))


def _dense(now: Slot, target: Slot) -> Step | None:
    old, new = now.flattened, target.flattened
    if old is None or new is None:
        return _step(now, target.shape, partial(_fill, output_axis=1 - target.input_axis))
    if old.spatial != new.spatial or old.channels_last != new.channels_last:
        return None  # a place in the input axis is another pixel, not another channel
    change = partial(_fill_flattened, input_axis=target.input_axis, before=old, after=new)
    return _step(now, target.shape, change)


def _step(now: Slot, shape: tuple[int, ...], change: Callable[[Array, ReadTarget], Array]) -> Step:
    return Step("slice-pad", shape, f"channels {now.shape} -> {shape}", change, fills=True)


def _fill(values: Array, read_target: ReadTarget, *, output_axis: int) -> Array:
    return _filled(values, read_target(), output_axis)


def _fill_flattened(
    values: Array, read_target: ReadTarget, *, input_axis: int, before: Flattened, after: Flattened
) -> Array:
    target = read_target()
    rows, wanted = np.moveaxis(values, input_axis, 1), np.moveaxis(target, input_axis, 1)
    unflattened = wanted.reshape(wanted.shape[0], *after.shape)
    filled = _filled(rows.reshape(rows.shape[0], *before.shape), unflattened, 0).reshape(wanted.shape)
    return np.ascontiguousarray(np.moveaxis(filled, 1, input_axis))


def _filled(values: Array, target: Array, output_axis: int) -> Array:
    """The target's values, but for the output channels that both have: there those given, and zeros."""
    filled = target.copy()
    kept = min(values.shape[output_axis], target.shape[output_axis])
    filled[(slice(None),) * output_axis + (slice(kept),)] = 0
    both = tuple(slice(min(sizes)) for sizes in zip(values.shape, target.shape, strict=True))
    filled[both] = values[both]
    return filled
