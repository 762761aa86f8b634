"""Tensors and arrays that are computed with one another: brought to one type and one layout, so that ONNX broadcasts
them as Keras does.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converters.json_arrays import Array
from converters.layers.layer_builder import WIDENING, LayerBuilder
from converters.layers.tensor import Layout, Numbers, Tensor, shown

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
    tensors = [operand for operand in operands if isinstance(operand, Tensor) and not isinstance(operand, Numbers)]
    if not tensors:
        raise layer.error("is given no tensor", "Give one of its arguments as a tensor.")
    _require_fit(operands, max(tensors, key=lambda x: x.rank), layer)
    if any(x.layout is Layout.CHANNELS_FIRST for x in tensors):
        tensors = [layer.channels_first(x) for x in tensors]
    in_layout = iter(tensors)
    dtypes = [dtype] * len(operands) if isinstance(dtype, ir.DataType) else dtype
    values = [
        layer.cast(operand if isinstance(operand, Numbers) else next(in_layout), wanted).value
        if isinstance(operand, Tensor)
        else stored(operand.astype(TYPES[wanted]), tensors[0], layer)
        for operand, wanted in zip(operands, dtypes, strict=True)
    ]
    return values, tensors[0].layout


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
        fits = len(sizes) == like.rank if isinstance(operand, Tensor) else len(sizes) <= like.rank
        pairs = zip(reversed(sizes), reversed(like.shape), strict=False)
        fits = fits and all(m == n or 1 in (m, n) for m, n in pairs if isinstance(m, int) and isinstance(n, int))
        repeats_batch = not isinstance(operand, Tensor) and len(sizes) == like.rank and sizes[0] != 1
        if not fits or repeats_batch:
            given = " and ".join(shown(other.shape) for other in operands)
            raise layer.error(f"its arguments do not fit together: {given}", "Make them equal, but for axes of size 1.")
