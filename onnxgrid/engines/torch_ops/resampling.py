"""Images in another size: Resize."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.host import HostFloats, HostIntegers, integers, numbers
from onnxgrid.engines.torch_ops.table import torch_op

_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_REPEATING = (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"))
"""(coordinates, rounding) that repeat every cell where the factor is a whole number."""


def _resize_refusal(attributes: Mapping[str, Any]) -> str | None:
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _COORDINATES:
        return f"has coordinate_transformation_mode {coordinates}; known are {', '.join(_COORDINATES)}"
    if attributes.get("antialias", 0):
        return "has antialias 1; known is 0"
    policy = attributes.get("keep_aspect_ratio_policy", "stretch")
    return None if policy == "stretch" else f"has keep_aspect_ratio_policy {policy}; known is stretch"


@torch_op("Resize", refusal=_resize_refusal, host=(1, 2, 3))
def resize(
    x: torch.Tensor,
    roi: HostFloats | None = None,
    scales: HostFloats | None = None,
    sizes: HostIntegers | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    antialias: int = 0,
    axes: Sequence[int] = (),
    keep_aspect_ratio_policy: str = "stretch",
) -> torch.Tensor:
    """x in another size along some axes: the nearest cell, or the linear or cubic interpolation of cells.

    The region of interest, `extrapolation_value` and `antialias` concern what is refused; exporters write them all the
    same.
    """
    along = [axis % x.dim() for axis in axes] or list(range(x.dim()))
    factors = numbers(scales) if scales is not None and len(scales) else []
    wanted = integers(sizes) if sizes is not None and len(sizes) else []
    if not wanted:
        wanted = [int(x.shape[axis] * factor) for axis, factor in zip(along, factors, strict=True)]
    changed = {axis: (size, factor) for axis, size, factor in _changes(x, along, wanted, factors)}
    if not changed:
        return x
    at_once = _by_torch(x, changed, mode, coordinate_transformation_mode, nearest_mode)
    if at_once is not None:
        return at_once
    for axis, (size, factor) in changed.items():
        places = _places(x.shape[axis], size, factor, coordinate_transformation_mode, x.device)
        if mode == "nearest":
            x = x.index_select(axis, _rounded(places, nearest_mode).clamp(0, x.shape[axis] - 1).long())
        elif mode == "linear":
            x = _linear(x, axis, places)
        else:
            x = _cubic(x, axis, places, cubic_coeff_a, bool(exclude_outside))
    return x


def _changes(
    x: torch.Tensor, along: Sequence[int], wanted: Sequence[int], factors: Sequence[float]
) -> list[tuple[int, int, float]]:
    """(axis, new size, factor) of the axes that change."""
    found = []
    for i, (axis, size) in enumerate(zip(along, wanted, strict=True)):
        factor = factors[i] if factors else size / x.shape[axis]
        if factor != 1:
            found.append((axis, size, factor))
    return found


def _by_torch(
    x: torch.Tensor, changed: Mapping[int, tuple[int, float]], mode: str, coordinates: str, rounding: str
) -> torch.Tensor | None:
    """The result of torch's own kernel, if it computes the same."""
    if x.dim() not in _LINEAR or min(changed) < 2:
        return None
    size = [changed[axis][0] if axis in changed else x.shape[axis] for axis in range(2, x.dim())]
    exact = all(size == x.shape[axis] * factor for axis, (size, factor) in changed.items())
    whole = all(size % x.shape[axis] == 0 for axis, (size, _) in changed.items())
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest") if whole and (coordinates, rounding) in _REPEATING else None
    if mode != "linear":
        return None
    if coordinates == "align_corners":
        return F.interpolate(x, size=size, mode=_LINEAR[x.dim()], align_corners=True)
    if exact and coordinates in ("half_pixel", "half_pixel_symmetric"):
        return F.interpolate(x, size=size, mode=_LINEAR[x.dim()], align_corners=False)
    if exact and coordinates == "pytorch_half_pixel" and all(size > 1 for size, _ in changed.values()):
        return F.interpolate(x, size=size, mode=_LINEAR[x.dim()], align_corners=False)
    return None


def _places(cells: int, size: int, factor: float, coordinates: str, device: torch.device) -> torch.Tensor:
    """Where each of `size` results lies among the cells, in float32 as in ONNX Runtime: rounding decides ties."""
    i = torch.arange(size, dtype=torch.float32, device=device)
    if coordinates == "asymmetric":
        return i / factor
    if coordinates == "align_corners":
        return i * (cells - 1) / (size - 1) if size > 1 else torch.zeros_like(i)
    if coordinates == "pytorch_half_pixel" and size == 1:
        return torch.zeros_like(i)
    centred = (i + 0.5) / factor - 0.5
    if coordinates == "half_pixel_symmetric":
        return cells / 2 * (1 - size / (factor * cells)) + centred
    return centred


def _rounded(places: torch.Tensor, rounding: str) -> torch.Tensor:
    match rounding:
        case "floor":
            return places.floor()
        case "ceil":
            return places.ceil()
        case "round_prefer_ceil":
            return (places + 0.5).floor()
        case _:
            return (places - 0.5).ceil()


def _along(weights: torch.Tensor, axis: int, rank: int) -> torch.Tensor:
    return weights.reshape([-1 if i == axis else 1 for i in range(rank)])


def _linear(x: torch.Tensor, axis: int, places: torch.Tensor) -> torch.Tensor:
    last = x.shape[axis] - 1
    places = places.clamp(0, last)
    low = places.floor()
    share = _along((places - low).to(x.dtype), axis, x.dim())
    below = x.index_select(axis, low.long())
    above = x.index_select(axis, (low + 1).clamp(max=last).long())
    return below * (1 - share) + above * share


def _cubic(x: torch.Tensor, axis: int, places: torch.Tensor, a: float, exclude_outside: bool) -> torch.Tensor:
    """Keys' cubic convolution: four cells a result."""
    last, low = x.shape[axis] - 1, places.floor()
    t = places - low
    weights = torch.stack([_outer(1 + t, a), _inner(t, a), _inner(1 - t, a), _outer(2 - t, a)])
    cells = torch.stack([low - 1, low, low + 1, low + 2])
    if exclude_outside:
        weights = weights * ((cells >= 0) & (cells <= last))
        weights = weights / weights.sum(0)
    taps = [
        x.index_select(axis, cell.clamp(0, last).long()) * _along(weight.to(x.dtype), axis, x.dim())
        for cell, weight in zip(cells, weights, strict=True)
    ]
    return taps[0] + taps[1] + taps[2] + taps[3]


def _inner(distance: torch.Tensor, a: float) -> torch.Tensor:
    """Weight of a cell nearer than 1."""
    return ((a + 2) * distance - (a + 3)) * distance * distance + 1


def _outer(distance: torch.Tensor, a: float) -> torch.Tensor:
    """Weight of a cell between 1 and 2 away."""
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
