"""The order of axes and elements that the target has, where both graphs say what order an array has.

Not a rule: whoever copies a weight wants it to mean the same. A MatMul stores (in, out) where a Gemm may store
(out, in); behind a Flatten, the elements are (C, H, W) in torch's graphs and (H, W, C) in Keras'.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step
from onnxgrid.transplant.usage import Flattened

__all__ = ["in_order_of"]


def in_order_of(source: Slot, target: Slot) -> tuple[tuple[Step, ...], Slot]:
    """The steps that bring the axes and elements of the source into the target's order, and what it then is."""
    steps: list[Step] = []
    now = source
    if now.use is None or target.use is None or len(now.shape) != 2 or len(target.shape) != 2:
        return (), source
    if now.use.multiplies and target.use.multiplies and now.use.transposed != target.use.transposed:
        names = "(in, out) -> (out, in)" if now.use.transposed else "(out, in) -> (in, out)"
        steps.append(Step("axis order", now.shape[::-1], names, _transpose))
        now = replace(now, shape=now.shape[::-1], use=replace(now.use, transposed=target.use.transposed))
    old, new = now.flattened, target.flattened
    if now.use is not None and old is not None and new is not None and old.channels_last != new.channels_last:
        after = replace(old, channels_last=new.channels_last)
        change = partial(_reorder, input_axis=now.input_axis, before=old)
        step = Step("axis order", now.shape, f"input {old.shape} -> {after.shape}", change, flattened=after)
        steps.append(step)
        now = now.after(step)
    return tuple(steps), now


def _transpose(values: Array, _read_target: ReadTarget) -> Array:
    return np.ascontiguousarray(values.T)


def _reorder(values: Array, _read_target: ReadTarget, *, input_axis: int, before: Flattened) -> Array:
    """Channels from the last to the first place, or back."""
    rows = np.moveaxis(values, input_axis, 1)
    unflattened = rows.reshape(rows.shape[0], *before.shape)
    moved = np.moveaxis(unflattened, -1, 1) if before.channels_last else np.moveaxis(unflattened, 1, -1)
    return np.ascontiguousarray(np.moveaxis(moved.reshape(rows.shape), 1, input_axis))
