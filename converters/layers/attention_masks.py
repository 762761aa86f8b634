"""Which places attention looks at: the masks of sequences, and those that follow from the places alone."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Layout, Size, Tensor

__all__ = ["all_of", "as_booleans", "masked_scores", "of_places", "place_numbers"]


def of_places(
    scores: ir.Value, layer: LayerBuilder, *, causal: bool = False, window: int | None = None
) -> ir.Value | None:
    """(Tq, Tv): which places of the values each place of the queries looks at; None if at all.

    Args:
        scores: (..., Tq, Tv).
        causal: at no later place than its own.
        window: at none that is so many places away, or more.
    """
    if not causal and window is None:
        return None
    sizes = Tensor(scores, Layout.KERAS).stored_shape[-2:]
    if all(isinstance(size, int) for size in sizes):
        rows, columns = np.indices([int(str(size)) for size in sizes])
        seen = (rows >= columns) if causal else np.ones_like(rows, bool)
        return layer.constant("seen", seen if window is None else seen & (abs(rows - columns) < window))
    shape = layer.op("Shape", [scores])
    rows, columns = (place_numbers(shape, axis, size, layer) for axis, size in zip((-2, -1), sizes, strict=True))
    rows = layer.op("Unsqueeze", [rows, layer.constant("last_axis", np.array([-1], np.int64))])
    # Not GreaterOrEqual, of which no shape is inferred below opset 16.
    seen = [layer.op("Not", [layer.op("Less", [rows, columns])])] if causal else []
    if window is not None:
        distance = layer.op("Abs", [layer.op("Sub", [rows, columns])])
        seen.append(layer.op("Less", [distance, layer.constant("window", np.array(window, np.int64))]))
    return all_of(seen, layer)


def place_numbers(shape: ir.Value, axis: int, size: Size, layer: LayerBuilder) -> ir.Value:
    """The numbers of the places on an axis, from 0."""
    count = layer.op("Gather", [shape, layer.constant("axis", np.array(axis, np.int64))])
    start, step = (layer.constant(name, np.array(number, np.int64)) for name, number in (("first", 0), ("step", 1)))
    numbers = layer.op("Range", [start, count, step])
    numbers.shape = ir.Shape([size])
    return numbers


def all_of(masks: Sequence[ir.Value | None], layer: LayerBuilder) -> ir.Value | None:
    """What all masks let pass that there are; None if there is none."""
    known = list(dict.fromkeys(mask for mask in masks if mask is not None))
    if not known:
        return None
    joined, *others = known
    for mask in others:
        joined = layer.op("And", [joined, mask])
    return joined


def as_booleans(mask: Tensor, layer: LayerBuilder) -> ir.Value:
    """A mask that a network computes or is given, of numbers or of booleans."""
    return layer.keras_order(layer.cast(mask, ir.DataType.BOOL)).value


def masked_scores(scores: ir.Value, mask: ir.Value | None, lowest: float, layer: LayerBuilder) -> ir.Value:
    """The scores, and the lowest where the mask lets nothing pass."""
    return scores if mask is None else layer.op("Where", [mask, scores, layer.scalar("masked", lowest)])
