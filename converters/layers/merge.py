"""Layers that join several tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import Arity, converts
from converters.layers.tensor import Layout, Size, Tensor, shown

__all__ = ["AddConfig", "ConcatenateConfig", "add", "concatenate"]


@dataclass(frozen=True)
class AddConfig:
    """Keras `Add`, which has no options."""

    @classmethod
    def read(cls, keys: Keys) -> "AddConfig":
        return cls()


@converts("Add", config=AddConfig.read, arity=Arity.MANY)
def add(config: AddConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The sum of all inputs; axes of size 1 are repeated, and missing axes stand after the batch.

    Raises ConversionError if shapes do not fit.
    Source: keras.io/api/layers/merging_layers/add, keras/src/layers/merging/base_merge.py.
    """
    total, *others = _of_one_rank(_of_one_layout(inputs, layer), layer)
    for other in others:
        if not all(_broadcast(a, b) for a, b in zip(total.shape, other.shape, strict=True)):
            raise layer.error(
                f"its inputs cannot be added: {', '.join(shown(x.shape) for x in inputs)}",
                "Make them equal, but for axes of size 1.",
            )
        total = Tensor(layer.op("Add", [total.value, other.value]), total.layout)
    return total


def _broadcast(a: Size, b: Size) -> bool:
    return a == b or a == 1 or b == 1 or not isinstance(a, int) or not isinstance(b, int)


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
    return Tensor(y, parts[0].layout)


def _alike_but_for(axis: int, a: tuple[Size, ...], b: tuple[Size, ...]) -> bool:
    if len(a) != len(b):
        return False
    known = [
        (m, n)
        for i, (m, n) in enumerate(zip(a, b, strict=True))
        if i != axis and isinstance(m, int) and isinstance(n, int)
    ]
    return all(m == n for m, n in known)
