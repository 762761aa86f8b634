"""Sizes that an operation is given: known, the batch's, or computed while the graph runs."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import onnx_ir as ir

from converters.layers.graph_builder import BATCH
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Extent, Numbers, Size

__all__ = ["extents_of", "part_of", "size_of", "vector"]


def extents_of(numbers: Numbers, layer: LayerBuilder) -> list[Extent]:
    """Each of the numbers as a size."""
    return [
        item if isinstance(item, int) or item == BATCH else part_of(numbers, [place], layer, scalar=True)
        for place, item in enumerate(numbers.items)
    ]


def part_of(numbers: Numbers, places: Sequence[int], layer: LayerBuilder, *, scalar: bool) -> Numbers:
    """Some of the numbers, counted from 0."""
    items = tuple(numbers.items[place] for place in places)
    if len(items) == len(numbers.items) and list(places) == sorted(places):
        return Numbers(numbers.value, numbers.layout, items=items, scalar=scalar)
    index = layer.constant("places", np.array(places, np.int64))
    return Numbers(layer.op("Gather", [numbers.value, index]), numbers.layout, items=items, scalar=scalar)


def size_of(extent: Extent) -> Size:
    """What a shape says of a size."""
    if not isinstance(extent, Numbers):
        return extent
    item = extent.items[0]
    return item if isinstance(item, str) else None


def vector(name: str, extents: Sequence[Extent], layer: LayerBuilder) -> ir.Value:
    """The sizes as a vector of int64: a constant where all are known. The batch must be written as a number."""
    parts: list[ir.Value] = []
    for known, group in groupby(extents, key=lambda extent: isinstance(extent, int)):
        if known:
            parts.append(layer.constant(name, np.array(list(group), np.int64)))
        else:
            parts.extend(extent.value for extent in group if isinstance(extent, Numbers))
    return parts[0] if len(parts) == 1 else layer.op("Concat", parts, axis=0)
