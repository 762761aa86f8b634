"""Arrays of more or fewer channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

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

Index = slice | Array
"""Of entries of one axis."""


@dataclass(frozen=True)
class _Parts:
    """The parts of an axis, as many before as after: how many channels each has. Without any, the axis is one part."""

    axis: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def kept(self, axis: int, sizes: tuple[int, int]) -> tuple[Index, Index]:
        """Which entries of an axis of these sizes are kept: where they stand before and after."""
        if axis != self.axis or not self.before:
            return slice(min(sizes)), slice(min(sizes))
        return self._firsts(self.before), self._firsts(self.after)

    def _firsts(self, parts: Sequence[int]) -> Array:
        """The places of the first channels of each part, as many as both have."""
        counts = [min(both) for both in zip(self.before, self.after, strict=True)]
        starts = accumulate(parts[:-1], initial=0)
        return np.concatenate([np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)])


@adaptation_rule("slice-pad")
def slice_pad(now: Slot, target: Slot) -> Step | None:
    """Keep the first channels; of more channels, the others start as the target has them.

    Behind a Concat, the first channels of each of its parts are kept, where both graphs tell them. In the rows of the
    output channels that are kept, new input channels count zero. Preserved: the kept output channels on inputs whose
    kept channels are the old ones, whatever stands in the new ones; so in a widened network of such layers, the old
    channels of every layer. New output channels keep the target's values, and not zeros, so that training can reach
    them. Not for grouped convolutions, whose groups would mix, nor for recurrent layers, whose first axis holds gates,
    nor where the graphs tell of different numbers of parts.
    """
    if len(now.shape) != len(target.shape) or not now.shape:
        return None
    known = now.parts is not None and target.parts is not None
    if now.shape == target.shape and (not known or now.parts == target.parts):
        return None
    if known and len(now.parts or ()) != len(target.parts or ()):
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
    parts = _parts(now, target, 0, (now.shape[0], target.shape[0]))
    return _step(now, target.shape, parts, partial(_fill, output_axis=0, parts=parts))


def _kernel(now: Slot, target: Slot) -> Step | None:
    if any(slot.use is not None and slot.use.groups not in (1, slot.shape[0]) for slot in (now, target)):
        return None
    output_axis = 1 if target.use is not None and target.use.op_type == "ConvTranspose" else 0
    each_channel = target.use is not None and target.use.groups > 1
    axis = output_axis if each_channel else 1 - output_axis
    parts = _parts(now, target, axis, (now.shape[axis], target.shape[axis]))
    shape = (*target.shape[:2], *now.shape[2:])
    if shape == now.shape and parts.before == parts.after:
        return None
    return _step(now, shape, parts, partial(_fill, output_axis=output_axis, parts=parts))


def _dense(now: Slot, target: Slot) -> Step | None:
    old, new = now.flattened, target.flattened
    if old is None or new is None:
        axis = target.input_axis
        parts = _parts(now, target, axis, (now.shape[axis], target.shape[axis]))
        return _step(now, target.shape, parts, partial(_fill, output_axis=1 - axis, parts=parts))
    if old.spatial != new.spatial or old.channels_last != new.channels_last:
        return None  # a place in the input axis is another pixel, not another channel
    parts = _parts(now, target, len(old.shape) if old.channels_last else 1, (old.channels, new.channels))
    change = partial(_fill_flattened, input_axis=target.input_axis, before=old, after=new, parts=parts)
    return _step(now, target.shape, parts, change)


def _parts(now: Slot, target: Slot, axis: int, sizes: tuple[int, int]) -> _Parts:
    """The parts of an axis of these sizes, if both graphs tell them."""
    if now.parts is None or target.parts is None or (sum(now.parts), sum(target.parts)) != sizes:
        return _Parts(axis)
    return _Parts(axis, now.parts, target.parts)


def _step(now: Slot, shape: tuple[int, ...], parts: _Parts, change: Callable[[Array, ReadTarget], Array]) -> Step:
    of_parts = f", in parts {parts.before} -> {parts.after}" if len(parts.before) > 1 else ""
    return Step("slice-pad", shape, f"channels {now.shape} -> {shape}{of_parts}", change, fills=True)


def _fill(values: Array, read_target: ReadTarget, *, output_axis: int, parts: _Parts) -> Array:
    return _filled(values, read_target(), output_axis, parts)


def _fill_flattened(
    values: Array, read_target: ReadTarget, *, input_axis: int, before: Flattened, after: Flattened, parts: _Parts
) -> Array:
    target = read_target()
    rows, wanted = np.moveaxis(values, input_axis, 1), np.moveaxis(target, input_axis, 1)
    unflattened = wanted.reshape(wanted.shape[0], *after.shape)
    filled = _filled(rows.reshape(rows.shape[0], *before.shape), unflattened, 0, parts).reshape(wanted.shape)
    return np.ascontiguousarray(np.moveaxis(filled, 1, input_axis))


def _filled(values: Array, target: Array, output_axis: int, parts: _Parts) -> Array:
    """The target's values, but for the output channels that both have: there those given, and zeros."""
    kept = [parts.kept(axis, sizes) for axis, sizes in enumerate(zip(values.shape, target.shape, strict=True))]
    before, after = (tuple(indices) for indices in zip(*kept, strict=True))
    filled = target.copy()
    filled[(slice(None),) * output_axis + (after[output_axis],)] = 0
    filled[after] = values[before]
    return filled
