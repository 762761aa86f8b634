"""The weight of a Dense behind a Flatten, for images of another size."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step, adaptation_rule
from onnxgrid.transplant.adaptation.separable import map_axes
from onnxgrid.transplant.usage import Flattened

__all__ = ["averaging_matrix", "dense_resample"]


@adaptation_rule("dense-resample")
def dense_resample(now: Slot, target: Slot) -> Step | None:
    """The weight that averages images of the new size to the old one, and then does what the old weight does.

    Its input axis was (H, W, C) before the Flatten, as the use of both arrays says. The average is over cells, weighted
    by the area they share: images n times as large are averaged n by n, in smaller ones pixels are repeated. Preserved:
    the output on the images that the old ones become when their pixels are repeated, and, whatever the sizes, on
    constant ones.
    """
    old, new = now.flattened, target.flattened
    if old is None or new is None or len(old.spatial) != len(new.spatial) or old.spatial == new.spatial:
        return None
    first = 1 if old.channels_last else 2
    matrices = {
        axis: averaging_matrix(wanted, size).T
        for axis, (wanted, size) in enumerate(zip(new.spatial, old.spatial, strict=True), first)
        if wanted != size
    }
    after = replace(old, spatial=new.spatial)
    shape = list(now.shape)
    shape[now.input_axis] = after.size
    change = partial(_resample, input_axis=now.input_axis, before=old, matrices=matrices)
    return Step("dense-resample", tuple(shape), f"input {old.shape} -> {after.shape}", change, flattened=after)


def _resample(
    values: Array, _read_target: ReadTarget, *, input_axis: int, before: Flattened, matrices: Mapping[int, Array]
) -> Array:
    rows = np.moveaxis(values, input_axis, 1)  # (out, H * W * C)
    unflattened = rows.reshape(rows.shape[0], *before.shape)
    mapped = map_axes(unflattened, matrices).reshape(rows.shape[0], -1)
    return np.ascontiguousarray(np.moveaxis(mapped, 1, input_axis))


def averaging_matrix(size: int, wanted: int) -> Array:
    """(wanted, size): averages `size` cells over the same length into `wanted`, by the length they share."""
    edges_before, edges_after = np.linspace(0, 1, size + 1), np.linspace(0, 1, wanted + 1)
    ends = np.minimum(edges_after[1:, np.newaxis], edges_before[1:])
    starts = np.maximum(edges_after[:-1, np.newaxis], edges_before[:-1])
    averaging: Array = np.clip(ends - starts, 0, None) * wanted
    return averaging
