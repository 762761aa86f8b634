"""Images in another size."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from onnxgrid.engines.torch_ops.table import torch_op
from onnxgrid.errors import WorkFailed


def _resize_refusal(attributes: Mapping[str, Any]) -> str | None:
    mode = attributes.get("mode", "nearest")
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = attributes.get("nearest_mode", "round_prefer_floor")
    if (mode, coordinates, rounding) == ("nearest", "asymmetric", "floor") or (mode, coordinates) == (
        "linear",
        "half_pixel",
    ):
        return None
    known = "nearest with asymmetric and floor, linear with half_pixel"
    return f"is {mode} with {coordinates} and {rounding}; known are {known}"


@torch_op("Resize", refusal=_resize_refusal)
def resize(
    x: torch.Tensor,
    roi: torch.Tensor | None = None,
    scales: torch.Tensor | None = None,
    sizes: torch.Tensor | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
) -> torch.Tensor:
    """x (N, C, s...) -> (N, C, s'...), enlarged by whole factors: nearest (asymmetric, floor) or linear (half_pixel).

    The last three attributes concern other modes; ONNX Runtime writes their defaults into every node. Raises WorkFailed
    for other factors.
    """
    spatial = list(x.shape[2:])
    if sizes is not None:
        target = sizes.tolist()[2:]
    else:
        assert scales is not None
        target = [n * s for n, s in zip(spatial, scales.tolist()[2:], strict=True)]
    if any(t % n for t, n in zip(target, spatial, strict=True)):
        raise WorkFailed(
            f"A Resize from {spatial} to {target} is not by whole factors: training does not know it.",
            fix="Use whole factors in the network.",
        )
    size = [int(t) for t in target]
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    kinds = {1: "linear", 2: "bilinear", 3: "trilinear"}
    return F.interpolate(x, size=size, mode=kinds[len(spatial)], align_corners=False)
