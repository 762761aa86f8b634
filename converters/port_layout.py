"""Where the channels stand in a model's inputs and outputs: what the metadata of a graph input or output says of it."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from converters.errors import ConversionError

__all__ = ["LAYOUT_KEY", "PortLayout", "layouts_of", "state_layout", "stated_layout"]

LAYOUT_KEY = "onnxgrid.layout"
"""Metadata of a graph input or output: the value of its `PortLayout`; absent in foreign models."""


class PortLayout(Enum):
    """How the axes of a graph input or output stand to those that Keras has."""

    CHANNELS_FIRST = "channels_first"
    """(N, C, s1...sk), where Keras has (N, s1...sk, C)."""
    CHANNELS_LAST = "channels_last"
    """(N, s1...sk, C) as Keras has it, where the graph within has the channels first."""
    KERAS = "keras"
    """As Keras has them, whatever they mean."""

    @property
    def words(self) -> str:
        """For people."""
        return {"keras": "axes as in Keras"}.get(self.value, self.value.replace("_", " "))

    def in_keras_order(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array of the graph, its axes as Keras has them."""
        return np.moveaxis(x, 1, -1) if self is PortLayout.CHANNELS_FIRST else x

    def in_graph_order(self, keras_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Sizes that Keras says, the batch first, in the order of the graph."""
        if self is PortLayout.CHANNELS_FIRST:
            return (keras_shape[0], keras_shape[-1], *keras_shape[1:-1])
        return tuple(keras_shape)


def state_layout(value: ir.Value, layout: PortLayout) -> None:
    """Change the metadata of a graph input or output: it says its layout."""
    value.metadata_props[LAYOUT_KEY] = layout.value


def stated_layout(value: ir.Value) -> PortLayout | None:
    """The layout that a graph input or output says that it has, None if it says nothing.

    Raises:
        ConversionError: if it says one that we do not know.
    """
    text = value.metadata_props.get(LAYOUT_KEY)
    if text is None:
        return None
    known = {layout.value: layout for layout in PortLayout}
    if text not in known:
        raise ConversionError(
            f"says {text!r}, which is no order of axes that we know",
            place=f"'{value.name}', metadata '{LAYOUT_KEY}'",
            fix=f"Write one of {', '.join(known)}, or remove it.",
        )
    return known[text]


def layouts_of(values: Sequence[ir.Value]) -> list[PortLayout]:
    """The layouts of the inputs or outputs of a model that was just converted, which says them all."""
    layouts = [layout for value in values if (layout := stated_layout(value)) is not None]
    assert len(layouts) == len(values), "converters.build states the layout of every input and output"
    return layouts
