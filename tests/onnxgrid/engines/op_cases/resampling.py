"""Cases of `onnxgrid.engines.torch_ops.resampling`."""

from typing import Any

import numpy as np

from tests.onnxgrid.engines.op_cases.case import X1, X3, Case, X, integers

ENLARGED = np.array([1, 1, 2, 3], dtype=np.float32)


def scales(*factors: float) -> np.ndarray:
    return np.array(factors, dtype=np.float32)


def options(mode: str, coordinates: str, **others: Any) -> dict[str, Any]:
    return {"mode": mode, "coordinate_transformation_mode": coordinates, **others}


COORDINATES = ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel")
NEAREST = options("nearest", "asymmetric", nearest_mode="floor")
LINEAR = options("linear", "half_pixel")


CASES = {
    "Resize to the nearest": Case("Resize", (X, None, ENLARGED), NEAREST),
    "Resize to the nearest, by sizes": Case("Resize", (X, None, None, integers(2, 4, 24, 22)), NEAREST),
    "Resize linearly": Case("Resize", (X, None, ENLARGED), LINEAR),
    "Resize linearly in 1D": Case("Resize", (X1, None, np.array([1, 1, 2], dtype=np.float32)), LINEAR),
    "Resize to an odd size": Case("Resize", (X, None, scales(1, 1, 1.5, 0.7)), NEAREST),
    **{
        f"Resize to the nearest: {coordinates}, {rounding}": Case(
            "Resize", (X, None, scales(1, 1, 2, 3)), options("nearest", coordinates, nearest_mode=rounding)
        )
        for coordinates in COORDINATES
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    },
    **{
        f"Resize {mode}, {size}: {coordinates}": Case("Resize", (X, None, factors), options(mode, coordinates))
        for mode in ("linear", "cubic")
        for coordinates in COORDINATES
        for size, factors in {"larger": scales(1, 1, 2, 1.7), "smaller": scales(1, 1, 0.5, 0.3)}.items()
    },
    "Resize cubically with another coefficient": Case(
        "Resize", (X, None, scales(1, 1, 2, 1.7)), options("cubic", "half_pixel", cubic_coeff_a=-0.5)
    ),
    "Resize cubically without what is outside": Case(
        "Resize", (X, None, scales(1, 1, 2, 1.7)), options("cubic", "half_pixel", exclude_outside=1)
    ),
    "Resize linearly to one cell": Case(
        "Resize", (X, None, None, integers(2, 4, 1, 5)), options("linear", "pytorch_half_pixel")
    ),
    "Resize linearly in 3D": Case("Resize", (X3, None, scales(1, 1, 2, 1, 3)), options("linear", "half_pixel")),
    "Resize linearly, half_pixel_symmetric": Case(
        "Resize", (X, None, scales(1, 1, 2, 1.7)), options("linear", "half_pixel_symmetric"), opset=19
    ),
    "Resize of some axes": Case("Resize", (X, None, scales(2, 3)), {**NEAREST, "axes": [2, 3]}, opset=18),
    "Resize to the same size": Case("Resize", (X, None, scales(1, 1, 1, 1)), NEAREST),
}
