"""Tensors and arrays that are computed with one another: brought to one type and one layout, so that ONNX broadcasts
them as Keras does.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.layer_builder import WIDENING, LayerBuilder
from converters.layers.tensor import Layout, Numbers, Shared, Tensor, shown

__all__ = ["TYPES", "aligned", "common_type", "stored"]

TYPES = {ir.DataType.BOOL: np.bool_, ir.DataType.INT64: np.int64, ir.DataType.FLOAT: np.float32}
"""ONNX type -> NumPy type."""


def common_type(operands: Sequence[Tensor | Array]) -> ir.DataType:
    """The narrowest type that holds all of them: floats as soon as there is one."""
    return max((_type_of(operand) for operand in operands), key=WIDENING.index)


def _type_of(operand: Tensor | Array) -> ir.DataType:
    return operand.dtype if isinstance(operand, Tensor) else ir.DataType.from_numpy(operand.dtype)


def aligned(
    operands: Sequence[Tensor | Array], dtype: ir.DataType | Sequence[ir.DataType], layer: LayerBuilder
) -> tuple[list[ir.Value], Layout]:
    """The operands as values of one layout, which is returned too; arrays have become constants.

    Sizes are matched from the last axis on. Source: numpy.org/doc/stable/user/basics.broadcasting.

    Args:
        dtype: of all values, or of each.

    Raises:
        ConversionError: if no operand is a tensor, if tensors have different numbers of axes, so that the batch of
            one would meet another axis, or if sizes do not fit or are known too late.
    """
    operands = [_known_numbers(operand, layer) if isinstance(operand, Numbers) else operand for operand in operands]
    tensors = [x for x in operands if isinstance(x, Tensor) and not isinstance(x, Numbers | Shared)]
    tensors = tensors or [x for x in operands if isinstance(x, Shared)]
    if not tensors:
        raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
    like = max(tensors, key=lambda x: x.rank)
    _require_fit(operands, like, layer)
    if any(x.layout is Layout.CHANNELS_FIRST for x in tensors):
        tensors = [layer.channels_first(x) for x in tensors]
    in_layout = iter(tensors)
    dtypes = [dtype] * len(operands) if isinstance(dtype, ir.DataType) else dtype
    like = max(tensors, key=lambda x: x.rank)

    def value_of(operand: Tensor | Array, wanted: ir.DataType) -> ir.Value:
        if not isinstance(operand, Tensor):
            return stored(operand.astype(TYPES[wanted]), like, layer)
        if isinstance(operand, Shared) and not isinstance(like, Shared):
            operand = _spread(operand, like, layer)
        elif not isinstance(operand, Numbers):
            operand = next(in_layout)
        return layer.cast(operand, wanted).value

    return [value_of(*pair) for pair in zip(operands, dtypes, strict=True)], like.layout


def _spread(x: Shared, like: Tensor, layer: LayerBuilder) -> Tensor:
    """A tensor without a batch, of no more axes than another, so that ONNX broadcasts it against that."""
    if like.layout is Layout.KERAS or x.rank == 0:
        return x
    value = x.value
    if x.rank < like.rank:
        value = layer.op("Unsqueeze", [value, layer.constant("axes", np.arange(like.rank - x.rank))])
    return layer.channels_first(Tensor(value, Layout.KERAS))


def _known_numbers(numbers: Numbers, layer: LayerBuilder) -> Numbers | Array:
    """The numbers as an array, where they are known; else a single one as it is, a vector that broadcasts as one."""
    known = [item for item in numbers.items if isinstance(item, int | float)]
    if len(known) == len(numbers.items):
        return np.array(known[0] if numbers.scalar else known, TYPES[numbers.dtype])
    if not numbers.scalar:
        raise layer.error("computes with sizes that are known only when the network runs", "Give known sizes.")
    return numbers


def stored(array: Array, like: Tensor, layer: LayerBuilder, name: str = "constant") -> ir.Value:
    """An array in Keras' order, of no more axes than a tensor, as a constant that ONNX broadcasts against it."""
    if array.size == 1:
        return layer.constant(name, array.reshape(()))
    if like.layout is Layout.CHANNELS_FIRST:
        array = np.moveaxis(array.reshape((1,) * (like.rank - array.ndim) + array.shape), -1, 1)
    return layer.constant(name, np.ascontiguousarray(array))


def _require_fit(operands: Sequence[Tensor | Array], like: Tensor, layer: LayerBuilder) -> None:
    for operand in operands:
        if isinstance(operand, Numbers):
            continue
        sizes = operand.shape
        has_batch = isinstance(operand, Tensor) and not isinstance(operand, Shared)
        fits = len(sizes) == like.rank if has_batch else len(sizes) <= like.rank
        pairs = zip(reversed(sizes), reversed(like.shape), strict=False)
        fits = fits and all(m == n or 1 in (m, n) for m, n in pairs if isinstance(m, int) and isinstance(n, int))
        repeats_batch = not has_batch and not isinstance(like, Shared) and len(sizes) == like.rank and sizes[0] != 1
        if not fits or repeats_batch:
            given = " and ".join(shown(other.shape) for other in operands)
            raise layer.error(f"its arguments do not fit together: {given}", "Make them equal, but for axes of size 1.")
