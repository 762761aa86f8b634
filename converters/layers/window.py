"""Windows that slide over spatial axes: how Keras pads them, and what sizes come out.

Source of the transposed form: keras/src/backend/common/backend_utils.py,
`_convert_conv_transpose_padding_args_from_keras_to_jax`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.tensor import Size, Tensor, shown

__all__ = ["CAUSAL", "Padding", "Pads", "Window", "read_padding", "transposed_pads"]

Pads = tuple[tuple[int, int], ...]
"""Cells before and after each spatial axis."""


class Padding(Enum):
    """What happens at the border."""

    VALID = "valid"
    SAME = "same"


CAUSAL = "causal"
"""Padding before the axis alone, so that no cell of the result sees a later one of the input."""


def read_padding(keys: Keys, extent: tuple[int, ...], *, may_be_causal: bool) -> Padding | Pads:
    """The padding of a convolution: a name, or as the reference program has it, numbers of cells.

    Args:
        extent: of the window, on each axis.

    Raises:
        ConversionError: if it is neither.
    """
    value = keys.raw("padding")
    if value is None or isinstance(value, str):
        if may_be_causal and isinstance(value, str) and value.lower() == CAUSAL:
            return tuple((cells - 1, 0) for cells in extent)
        return keys.choice("padding", Padding, default=Padding.VALID)
    return keys.pads("padding", len(extent))


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes, one number per axis, in cells."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding | Pads

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def extent(self) -> tuple[int, ...]:
        """Cells from the first to the last that the window reads, on each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def pad_attributes(self, x: Tensor, layer: LayerBuilder) -> dict[str, Any]:
        """The padding attributes of an ONNX Conv or pooling node over x.

        Raises:
            ConversionError: if nothing of x would be left.
        """
        spatial = x.stored_shape[2:]
        if self.padding is Padding.SAME:
            pads = [_same_pads(*axis) for axis in zip(spatial, self.extent, self.strides, strict=True)]
            known = [pair for pair in pads if pair is not None]
            if len(known) < len(pads):
                # The same split at run time. Not for all: ONNX Runtime refuses SAME_UPPER together with a dilation.
                return {"auto_pad": "SAME_UPPER"}
            return {"pads": _onnx_pads(known)}
        given = ((0, 0),) * self.rank if isinstance(self.padding, Padding) else self.padding
        for size, extent, pair in zip(spatial, self.extent, given, strict=True):
            if isinstance(size, int) and size + sum(pair) < extent:
                padding = '"valid"' if self.padding is Padding.VALID else f"{[list(pair) for pair in given]}"
                raise layer.error(
                    f"its input {shown(x.shape)} is smaller than its window {shown(self.extent)}, "
                    f"with padding {padding}",
                    'Use a larger input, fewer layers that shrink it, or padding "same".',
                )
        return {} if self.padding is Padding.VALID else {"pads": _onnx_pads(given)}


def _onnx_pads(pads: Sequence[tuple[int, int]]) -> list[int]:
    return [before for before, _after in pads] + [after for _before, after in pads]


def _same_pads(size: Size, extent: int, stride: int) -> tuple[int, int] | None:
    """Cells before and after one axis; None if they depend on a size that is unknown. The odd one goes after."""
    if stride == 1:
        total = extent - 1
    elif isinstance(size, int):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    else:
        return None
    return total // 2, total - total // 2


def transposed_pads(window: Window, output_padding: Sequence[int] | None) -> tuple[list[int], list[int]]:
    """`pads` and `output_padding` of the ONNX ConvTranspose that is a Keras transposed convolution."""
    extra = [None] * window.rank if output_padding is None else list(output_padding)
    crops = [
        _valid_crop(extent, stride, more) if window.padding is Padding.VALID else _same_crop(extent, stride, more)
        for extent, stride, more in zip(window.extent, window.strides, extra, strict=True)
    ]
    pads = [begin for begin, _end in crops] + [max(end, 0) for _begin, end in crops]
    return pads, [max(-end, 0) for _begin, end in crops]


def _valid_crop(extent: int, stride: int, output_padding: int | None) -> tuple[int, int]:
    return 0, -(max(stride - extent, 0) if output_padding is None else output_padding)


def _same_crop(extent: int, stride: int, output_padding: int | None) -> tuple[int, int]:
    """Cells cut from the begin and the end of one axis of the full result; below zero, added."""
    length = stride + extent - 2 if output_padding is None else extent + extent % 2 - 2 + output_padding
    left = min(-(-length // 2), extent - 1)
    return extent - 1 - left, extent - 1 - (length - left)
