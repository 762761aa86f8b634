"""Layers that join several tensors."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.masks import joined
from converters.layers.normalization import of_unit_length
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Size, Tensor, shown

__all__ = [
    "ConcatenateConfig",
    "DotConfig",
    "MergeConfig",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


@dataclass(frozen=True)
class MergeConfig:
    """Keras `Add`, `Multiply` and the like, which have no options."""

    @classmethod
    def read(cls, keys: Keys) -> "MergeConfig":
        return cls()


@converts("Add", config=MergeConfig.read, arity=Arity.MANY)
def add(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The sum of all inputs; axes of size 1 are repeated, and missing axes stand after the batch.

    Raises ConversionError if shapes do not fit.
    Source: keras.io/api/layers/merging_layers/add, keras/src/layers/merging/base_merge.py.
    """
    return _one_by_one("Add", _aligned(inputs, "added", layer), layer)


@converts("Subtract", config=MergeConfig.read, arity=Arity.TWO)
def subtract(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The first input less the second; shapes as for `add`."""
    return _one_by_one("Sub", _aligned(inputs, "subtracted", layer), layer)


@converts("Multiply", config=MergeConfig.read, arity=Arity.MANY)
def multiply(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The product of all inputs; shapes as for `add`."""
    return _one_by_one("Mul", _aligned(inputs, "multiplied", layer), layer)


@converts("Average", config=MergeConfig.read, arity=Arity.MANY)
def average(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The mean of all inputs; shapes as for `add`."""
    return _at_once("Mean", _aligned(inputs, "averaged", layer), layer)


@converts("Maximum", config=MergeConfig.read, arity=Arity.MANY)
def maximum(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The largest of all inputs, element by element; shapes as for `add`."""
    return _at_once("Max", _aligned(inputs, "compared", layer), layer)


@converts("Minimum", config=MergeConfig.read, arity=Arity.MANY)
def minimum(config: MergeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The smallest of all inputs, element by element; shapes as for `add`."""
    return _at_once("Min", _aligned(inputs, "compared", layer), layer)


def _one_by_one(op_type: str, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    total, *others = inputs
    for other in others:
        total = Tensor(layer.op(op_type, [total.value, other.value]), total.layout)
    return total


def _at_once(op_type: str, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    if len(inputs) == 1:
        return inputs[0]
    return Tensor(layer.op(op_type, [x.value for x in inputs]), inputs[0].layout)


def _aligned(inputs: Sequence[Tensor], done: str, layer: LayerBuilder) -> list[Tensor]:
    """The inputs in one layout and rank.

    Raises:
        ConversionError: if their shapes do not fit.
    """
    aligned = _of_one_rank(_of_one_layout(inputs, layer), layer)
    for sizes in zip(*(x.shape for x in aligned), strict=True):
        if len({size for size in sizes if isinstance(size, int) and size != 1}) > 1:
            raise layer.error(
                f"its inputs cannot be {done}: {', '.join(shown(x.shape) for x in inputs)}",
                "Make them equal, but for axes of size 1.",
            )
    return aligned


def _of_one_rank(inputs: Sequence[Tensor], layer: LayerBuilder) -> list[Tensor]:
    """The inputs with axes of size 1 put in after the batch, to the largest rank."""
    rank = max(x.rank for x in inputs)
    layout = next(x.layout for x in inputs if x.rank == rank)
    return [_expanded(x, rank, layout, layer) for x in inputs]


def _expanded(x: Tensor, rank: int, layout: Layout, layer: LayerBuilder) -> Tensor:
    missing = rank - x.rank
    if missing == 0:
        return x
    # Stored channels first, the axes after Keras' batch stand after the channels.
    first = 2 if layout is Layout.CHANNELS_FIRST else 1
    axes = layer.constant("missing_axes", np.arange(first, first + missing, dtype=np.int64))
    return Tensor(layer.op("Unsqueeze", [x.value, axes]), layout)


def _of_one_layout(inputs: Sequence[Tensor], layer: LayerBuilder) -> list[Tensor]:
    if any(x.layout is Layout.CHANNELS_FIRST for x in inputs):
        return [layer.channels_first(x) for x in inputs]
    return list(inputs)


@dataclass(frozen=True)
class ConcatenateConfig:
    """Keras `Concatenate`, checked: the axis in Keras' order, negative from the end."""

    axis: int

    @classmethod
    def read(cls, keys: Keys) -> "ConcatenateConfig":
        return cls(keys.axis("axis", default=-1))


@converts("Concatenate", config=ConcatenateConfig.read, arity=Arity.MANY)
def concatenate(config: ConcatenateConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The inputs one after the other along one axis.

    Raises ConversionError if their other axes differ, or the axis is the batch's.
    Source: keras.io/api/layers/merging_layers/concatenate; ONNX Concat.
    """
    parts = _of_one_layout(inputs, layer)
    axis = layer.keras_axis(parts[0], config.axis)
    if axis == 0:
        raise layer.error('"axis" is that of the batch', "Write the axis of the channels, -1, or of space.")
    if not all(_alike_but_for(axis, parts[0].shape, part.shape) for part in parts):
        raise layer.error(
            f"its inputs differ in more than axis {axis}: {', '.join(shown(x.shape) for x in inputs)}",
            "Make their other sizes equal; where one was halved and doubled again, sizes must be even at each halving.",
        )
    y = layer.op("Concat", [part.value for part in parts], axis=parts[0].stored_axis(axis))
    return Tensor(y, parts[0].layout, _mask_of_row(inputs, axis, layer))


def _mask_of_row(inputs: Sequence[Tensor], axis: int, layer: LayerBuilder) -> ir.Value | None:
    """The mask of inputs one after the other: along the features that of their sum, along time their masks in a row."""
    known = [x.mask for x in inputs if x.mask is not None]
    if not known or axis not in (1, inputs[0].rank - 1):
        return None
    if axis == inputs[0].rank - 1:
        return joined([x.mask for x in inputs], layer)
    if len(known) < len(inputs):
        raise layer.error("joins masked sequences with others", "Mask all, or none.")
    return layer.op("Concat", known, axis=1)


def _alike_but_for(axis: int, a: tuple[Size, ...], b: tuple[Size, ...]) -> bool:
    if len(a) != len(b):
        return False
    known = [
        (m, n)
        for i, (m, n) in enumerate(zip(a, b, strict=True))
        if i != axis and isinstance(m, int) and isinstance(n, int)
    ]
    return all(m == n for m, n in known)


@dataclass(frozen=True)
class DotConfig:
    """Keras `Dot`, checked: one axis of each input in Keras' order, negative from the end."""

    axes: tuple[int, int]
    normalize: bool

    @classmethod
    def read(cls, keys: Keys) -> "DotConfig":
        axes = keys.axes("axes", default=-1)
        if len(axes) > 2:
            raise keys.error("axes", f"has {len(axes)} axes", "Write one axis, or one for each of the two inputs.")
        return cls((axes[0], axes[-1]), keys.flag("normalize", default=False))


@converts("Dot", config=DotConfig.read, arity=Arity.TWO)
def dot(config: DotConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The products of two inputs summed over one axis of each: (N, other axes of x, other axes of y), or (N, 1).

    Raises ConversionError if the axes are of different sizes, or one is the batch's.
    Source: keras.io/api/layers/merging_layers/dot; ONNX Einsum, which takes the axes as they are stored.
    """
    axes = [layer.keras_axis(x, axis) for x, axis in zip(inputs, config.axes, strict=True)]
    sizes = [x.shape[axis] for x, axis in zip(inputs, axes, strict=True)]
    if 0 in axes or (all(isinstance(size, int) for size in sizes) and sizes[0] != sizes[1]):
        raise layer.error(
            f"axes {axes[0]} and {axes[1]} of its inputs {', '.join(shown(x.shape) for x in inputs)} cannot be summed",
            'Write axes of the same size in "axes", not the batch\'s.',
        )
    factors = [
        of_unit_length(x, [axis], layer) if config.normalize else x for x, axis in zip(inputs, axes, strict=True)
    ]
    free = iter(string.ascii_lowercase)
    batch, summed = next(free), next(free)
    terms, rest = [], ""
    for x, axis in zip(factors, axes, strict=True):
        letters = [batch, *(next(free) for _axis in range(1, x.rank))]
        letters[axis] = summed
        rest += "".join(letter for letter in letters[1:] if letter != summed)
        terms.append("".join(sorted(letters, key=lambda letter: x.stored_axis(letters.index(letter)))))
    y = layer.op("Einsum", [x.value for x in factors], equation=f"{','.join(terms)}->{batch}{rest}")
    if not rest:
        y = layer.op("Unsqueeze", [y, layer.constant("features", np.array([1], np.int64))])
    return Tensor(y, Layout.KERAS)
