"""Sequences of which some steps are masked, for operators that know no mask: the steps that count are brought together.

ONNX' recurrent operators take the number of steps of each sample, which start at the first. So the steps that are not
masked are moved to the front, in their order; afterwards each step gets the output of the last one that counts.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Layout, Tensor

__all__ = ["PackedSteps", "flipped", "pack", "time_first"]

INT64_MIN = np.iinfo(np.int64).min
"""As a slice's end, when it steps backwards: all the rest."""


def time_first(value: ir.Value, layer: LayerBuilder) -> ir.Value:
    """(N, T, features) as (T, N, features), or the other way."""
    return layer.transposed(value, (1, 0, 2))


def flipped(value: ir.Value, axis: int, layer: LayerBuilder) -> ir.Value:
    """The value with one axis in reverse."""
    bounds = {"starts": -1, "ends": INT64_MIN, "axes": axis, "steps": -1}
    operands = [layer.constant(name, np.array([number], np.int64)) for name, number in bounds.items()]
    result = layer.op("Slice", [value, *operands])
    result.shape = value.shape  # inference loses the name of a size that is not known
    return result


@dataclass(frozen=True)
class PackedSteps:
    """The steps (T, N, features) that are not masked, first in each sample, and how many those are.

    Args:
        lengths: (N,) of int32.
        counts: (N, T) of int32: how many of the steps up to each one count.
        counted: (N, T) of int32: 1 for a step that counts, else 0.
    """

    steps: ir.Value
    lengths: ir.Value
    counts: ir.Value
    counted: ir.Value

    def unpacked(self, sequence: ir.Value, layer: LayerBuilder, *, zero_where_masked: bool) -> ir.Value:
        """What came of the steps (T, N, units), each where its step was; a masked step has the output before it.

        Args:
            zero_where_masked: whether it has zeros instead, as it has where no step before it counts.
        """
        pads = layer.constant("pads", np.array([0, 1, 0, 0, 0, 0], np.int64))
        steps = time_first(sequence, layer)
        outputs = layer.op("Pad", [steps, pads])  # a step of zeros is in front, as number 0
        batch, count, units = Tensor(steps, Layout.KERAS).stored_shape
        outputs.shape = ir.Shape([batch, count + 1 if isinstance(count, int) else f"{count}+1", units])
        y = _taken(outputs, self.counts, layer)
        if zero_where_masked:
            factors = layer.op("Cast", [self.counted], to=ir.DataType.FLOAT)
            y = layer.op("Mul", [y, layer.op("Unsqueeze", [factors, _last_axis(layer)])])
        return time_first(y, layer)

    def where_any(self, value: ir.Value, otherwise: ir.Value, layer: LayerBuilder) -> ir.Value:
        """The rows of a value (N, units), and another's for samples of which all steps are masked."""
        none = layer.constant("none", np.array(0, np.int32))
        some = layer.op("Greater", [self.lengths, none])
        return layer.op("Where", [layer.op("Unsqueeze", [some, _last_axis(layer)]), value, otherwise])


def pack(steps: ir.Value, mask: ir.Value, layer: LayerBuilder) -> PackedSteps:
    """The steps (N, T, features) that the mask (N, T) lets pass."""
    assert mask.shape is not None
    counted = layer.op("Cast", [mask], to=ir.DataType.INT32)
    size = mask.shape[1]
    if isinstance(size, int):
        all_steps = layer.constant("all_steps", np.array([size], np.int64))
    else:
        axis = layer.constant("time_axis", np.array([1], np.int64))
        all_steps = layer.op("Gather", [layer.op("Shape", [mask]), axis])
    # Equal values come in the order of their places: so says the operator's specification.
    sorted_steps, order = layer.op_outputs("TopK", [counted, all_steps], 2, axis=1)
    sorted_steps.shape = order.shape = mask.shape
    packed = time_first(_taken(steps, order, layer), layer)
    lengths = layer.op("ReduceSum", [counted], axes=[1], keepdims=0)
    counts = layer.op("CumSum", [counted, layer.constant("time_axis", np.array(1, np.int64))])
    return PackedSteps(packed, lengths, counts, counted)


def _taken(steps: ir.Value, places: ir.Value, layer: LayerBuilder) -> ir.Value:
    """Of steps (N, T, features), those at the places (N, T')."""
    places = layer.op("Cast", [places], to=ir.DataType.INT64) if places.dtype is not ir.DataType.INT64 else places
    return layer.op("GatherND", [steps, layer.op("Unsqueeze", [places, _last_axis(layer)])], batch_dims=1)


def _last_axis(layer: LayerBuilder) -> ir.Value:
    return layer.constant("last_axis", np.array([-1], np.int64))
