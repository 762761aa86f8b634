"""Operations that take part of a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.operations.shapes import squeezed
from converters.layers.tensor import Layout, Tensor, shown

__all__ = ["get_item"]


@dataclass(frozen=True)
class _Slice:
    """A range of one axis."""

    start: int
    stop: int
    step: int


INT64_MAX = 2**63 - 1
"""As a slice's end: all the rest."""


@operation("keras.ops.GetItem", "tf.__operators__.getitem", parameters="x|tensor key|slice_spec")
def get_item(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Part of x: a range or one item along each axis, in Keras' order; null puts in an axis of size 1."""
    x = arguments.tensor("x")
    key = arguments.value("key")
    items = list(key) if isinstance(key, tuple) else [key]
    kinds = [_item(item, layer) for item in items]
    if Ellipsis in kinds:
        at = kinds.index(Ellipsis)
        taken = sum(kind is not None for kind in kinds) - 1
        kinds[at : at + 1] = [_Slice(0, INT64_MAX, 1)] * (x.rank - taken)
    if sum(kind is not None for kind in kinds) > x.rank:
        raise layer.error(f"takes more axes than {shown(x.shape)} has", "Give one item for each axis.")
    on_axes = [kind for kind in kinds if kind is not None]
    if on_axes and on_axes[0] != _Slice(0, INT64_MAX, 1):
        raise layer.error("takes part of the batch, which must stay as it is", "Take all of the first axis.")
    y = _sliced(x, on_axes, layer)
    y = squeezed(y, [axis for axis, kind in enumerate(on_axes) if isinstance(kind, int)], layer)
    return _with_new_axes(y, [kind for kind in kinds if not isinstance(kind, int)], layer)


def _item(value: Any, layer: LayerBuilder) -> Any:
    """A `_Slice`, an integer, `Ellipsis`, or None for a new axis."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, dict):
        if value.get("class_name") == "__ellipsis__":
            return Ellipsis
        bounds = value["config"] if isinstance(value.get("config"), dict) else value
        found = [bounds.get(name) for name in ("start", "stop", "step")]
        if set(bounds) <= {"start", "stop", "step"} and all(b is None or isinstance(b, int) for b in found):
            start, stop, step = (d if b is None else b for b, d in zip(found, (0, INT64_MAX, 1), strict=True))
            if step > 0:
                return _Slice(start, stop, step)
    raise layer.error(f"takes a part that we do not know: {str(value)[:60]}", "Use ranges with positive steps.")


def _sliced(x: Tensor, kinds: Sequence[Any], layer: LayerBuilder) -> Tensor:
    """x with each axis cut to its range; an integer is a range of one."""
    cuts = [
        (_Slice(kind, kind + 1 if kind != -1 else INT64_MAX, 1) if isinstance(kind, int) else kind, x.stored_axis(axis))
        for axis, kind in enumerate(kinds)
        if kind != _Slice(0, INT64_MAX, 1)
    ]
    if not cuts:
        return x
    columns = {
        "starts": [cut.start for cut, _axis in cuts],
        "ends": [cut.stop for cut, _axis in cuts],
        "axes": [axis for _cut, axis in cuts],
        "steps": [cut.step for cut, _axis in cuts],
    }
    constants = [layer.constant(name, np.array(column, np.int64)) for name, column in columns.items()]
    return Tensor(layer.op("Slice", [x.value, *constants]), x.layout)


def _with_new_axes(x: Tensor, kinds: Sequence[Any], layer: LayerBuilder) -> Tensor:
    """x with an axis of size 1 wherever the list holds None, counted with those put in before."""
    axes = [position for position, kind in enumerate(kinds) if kind is None]
    if not axes:
        return x
    ordered = layer.keras_order(x)
    return Tensor(
        layer.op("Unsqueeze", [ordered.value, layer.constant("new_axes", np.array(axes, np.int64))]), Layout.KERAS
    )
