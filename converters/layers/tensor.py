"""What flows between layers: an ONNX value that knows how its axes stand to Keras' order."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import onnx_ir as ir

__all__ = ["UNKNOWN", "Extent", "Layout", "Numbers", "Shared", "Size", "Tensor", "Turned", "shown"]

Size = int | str | None
"""The size of an axis: known, or unknown with or without a name."""

UNKNOWN = "unk__"
"""Begins the name of a size of which nothing is known but that it is the same wherever it is called so."""


class Layout(Enum):
    """How the axes of a stored tensor stand to those that Keras sees."""

    CHANNELS_FIRST = "channels_first"
    """Keras (N, s1...sk, C) is stored as (N, C, s1...sk)."""
    KERAS = "keras"
    """Stored as Keras sees it; tensors of rank 2 and less always are."""


@dataclass(frozen=True)
class Tensor:
    """An ONNX value and its layout. All sizes and axes of its interface are in Keras' order.

    Args:
        mask: Keras' mask, where it has one: (N, T) of booleans, false at the steps that are to be skipped.
    """

    value: ir.Value
    layout: Layout
    mask: ir.Value | None = None

    @property
    def stored_shape(self) -> tuple[Size, ...]:
        """The sizes in the order of the ONNX value."""
        assert self.value.shape is not None, "LayerBuilder.op infers the shape of every value"
        return tuple(size if isinstance(size, int) else size.value for size in self.value.shape)

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes in Keras' order, the batch first."""
        stored = self.stored_shape
        return stored if self.layout is Layout.KERAS else (stored[0], *stored[2:], stored[1])

    @property
    def rank(self) -> int:
        return len(self.stored_shape)

    @property
    def dtype(self) -> ir.DataType:
        """Float, but for what comparisons (bool) and positions (int64) give."""
        assert self.value.dtype is not None, "LayerBuilder.op infers the type of every value"
        return self.value.dtype

    def stored_axis(self, keras_axis: int) -> int:
        """Where a Keras axis, from 0 to rank - 1, stands in the ONNX value."""
        if self.layout is Layout.KERAS or keras_axis == 0:
            return keras_axis
        return 1 if keras_axis == self.rank - 1 else keras_axis + 1

    def layout_without(self, keras_axes: Sequence[int]) -> Layout:
        """How it stands to Keras' order once it lacks these Keras axes, of which the batch is none."""
        rank = self.rank - len(set(keras_axes))
        return self.layout if self.rank - 1 not in keras_axes and rank > 2 else Layout.KERAS

    def has_keras_element_order(self) -> bool:
        """Whether the elements lie in memory as Keras' would: also where only axes of size 1 are moved."""
        if self.layout is Layout.KERAS:
            return True
        *spatial, channels = self.shape[1:]
        return channels == 1 or all(size == 1 for size in spatial)


@dataclass(frozen=True, kw_only=True)
class Numbers(Tensor):
    """Numbers that belong to no sample: the sizes of a tensor, and what a network computes from them.

    The value is a vector of int64 or float, also where the network sees one number.

    Args:
        items: the numbers that are known while converting; a size's name, or None, where one is not.
        scalar: whether the network sees one number, not a vector.
    """

    items: tuple[float | str | None, ...]
    scalar: bool


@dataclass(frozen=True)
class Shared(Tensor):
    """A tensor without a batch, the same for all samples, that a network computes from sizes: in Keras' order."""


@dataclass(frozen=True, kw_only=True)
class Turned(Tensor):
    """A tensor whose batch is not its first axis, as the network sees it.

    The value has the batch first, so that nothing needs to be moved until the axes before it are gone.

    Args:
        order: which axis of the value each axis that the network sees is.
    """

    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[Size, ...]:
        """The sizes as the network sees them."""
        return tuple(self.stored_shape[axis] for axis in self.order)


Extent = int | str | Numbers
"""A size that an operation asks for: known, the batch's name, or one that is known only when the graph runs."""


def shown(shape: Sequence[Size | Extent]) -> str:
    """A shape for messages: `(N, 8, W, 3)`, a size of which nothing is known as `?`."""
    return "(" + ", ".join(map(_shown, shape)) + ")"


def _shown(size: Size | Extent) -> str:
    return str(size) if isinstance(size, int | str) and UNKNOWN not in str(size) else "?"
