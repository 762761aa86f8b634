"""What stands between the cells of an image, and the matrix that computes it along one axis.

Source of the kernels: pytorch/aten/src/ATen/native/UpSample.h, tensorflow/core/kernels/image/resize_bicubic_op.cc and
scale_and_translate_op.cc.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from converters.json_arrays import Array
from converters.layers.layer_builder import LayerBuilder

__all__ = [
    "BICUBIC_OF_TENSORFLOW",
    "BICUBIC_OF_TENSORFLOW_1",
    "BICUBIC_OF_TORCH",
    "BICUBIC_OF_TORCH_WIDENED",
    "LINEAR",
    "Coordinates",
    "Interpolation",
    "Kernel",
    "interpolation_matrix",
]

MAX_ENTRIES = 2**24
"""Of a matrix: more would be a mistake."""


@dataclass(frozen=True)
class Kernel:
    """How much a cell counts by its distance, in cells.

    Args:
        weight: of a distance from 0 on.
        reach: the distance from which on the weight is 0.
        clamps: whether the cell at the border stands for those beyond it; else these do not count.
        steps: how many distances within a cell are told apart; 0 for all.
    """

    weight: Callable[[float], float]
    reach: int
    clamps: bool
    steps: int = 0


def _linear(distance: float) -> float:
    return max(1.0 - distance, 0.0)


def _cubic(a: float) -> Callable[[float], float]:
    """The cubic convolution kernel of Keys, whose slope at distance 1 is a."""

    def weight(distance: float) -> float:
        if distance <= 1:
            return ((a + 2) * distance - (a + 3)) * distance * distance + 1
        if distance < 2:
            return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        return 0.0

    return weight


LINEAR = Kernel(_linear, 1, clamps=True)
BICUBIC_OF_TORCH = Kernel(_cubic(-0.75), 2, clamps=True)
BICUBIC_OF_TORCH_WIDENED = Kernel(_cubic(-0.5), 2, clamps=True)
BICUBIC_OF_TENSORFLOW = Kernel(_cubic(-0.5), 2, clamps=False, steps=1024)
BICUBIC_OF_TENSORFLOW_1 = Kernel(_cubic(-0.75), 2, clamps=True, steps=1024)


class Coordinates(Enum):
    """Which place of the old image a cell of the new one stands at."""

    CENTRES = "half_pixel"
    """The centre of a cell is where its share of the image is."""
    BEGINS = "asymmetric"
    """The begin of a cell is."""
    CORNERS = "align_corners"
    """The first cells, and the last ones, of both images stand at the same places."""


@dataclass(frozen=True)
class Interpolation:
    """How a cell of the new image is made of those of the old one around its place.

    `kernel` None takes the nearest cell; `antialias` widens the kernel where the image shrinks.
    """

    kernel: Kernel | None
    coordinates: Coordinates = Coordinates.CENTRES
    antialias: bool = False

    @property
    def in_onnx(self) -> dict[str, Any] | None:
        """Attributes of the ONNX Resize that is the same; None if there is none."""
        if self.antialias or self.kernel not in (None, LINEAR):
            return None
        attributes = {"coordinate_transformation_mode": self.coordinates.value}
        if self.kernel is LINEAR:
            return {"mode": "linear", **attributes}
        rounding = "round_prefer_ceil" if self.coordinates is Coordinates.CENTRES else "floor"
        return {"mode": "nearest", "nearest_mode": rounding, **attributes}


def interpolation_matrix(old: int, new: int, interpolation: Interpolation, layer: LayerBuilder) -> Array:
    """The matrix (new, old) that brings an axis of `old` cells to `new`; each row adds up to 1.

    Raises:
        ConversionError: if it would be enormous.
    """
    if old * new > MAX_ENTRIES:
        raise layer.error(f"interpolates an axis of {old} cells to {new}", "Use smaller images, or bilinear.")
    assert interpolation.kernel is not None
    matrix = np.zeros((new, old))
    for row in range(new):
        for cell, weight in _taps(row, old, new, interpolation, interpolation.kernel):
            matrix[row, cell] += weight
    rows: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return rows.astype(np.float32)


def _taps(row: int, old: int, new: int, interpolation: Interpolation, kernel: Kernel) -> list[tuple[int, float]]:
    """The cells that make up one of the new ones, and their weights."""
    place = _place(row, old, new, interpolation.coordinates)
    if interpolation.antialias:
        width = max(old / new, 1.0)
        first = max(math.floor(place - kernel.reach * width + 1), 0)
        last = min(math.ceil(place + kernel.reach * width), old)
        return [(cell, kernel.weight(abs(cell - place) / width)) for cell in range(first, last)]
    base, share = math.floor(place), place - math.floor(place)
    share = round(share * kernel.steps) / kernel.steps if kernel.steps else share
    cells = range(base - kernel.reach + 1, base + kernel.reach + 1)
    taps = [(cell, kernel.weight(abs(cell - base - share))) for cell in cells]
    if kernel.clamps:
        return [(min(max(cell, 0), old - 1), weight) for cell, weight in taps]
    return [(cell, weight) for cell, weight in taps if 0 <= cell < old]


def _place(row: int, old: int, new: int, coordinates: Coordinates) -> float:
    """Where a new cell stands among the old ones, whose centres are whole numbers."""
    if coordinates is Coordinates.CORNERS:
        return row * (old - 1) / (new - 1) if new > 1 else 0.0
    if coordinates is Coordinates.BEGINS:
        return row * old / new
    return (row + 0.5) * old / new - 0.5
