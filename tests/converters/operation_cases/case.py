"""What the cases of all families share."""

from collections.abc import Callable
from typing import Any

import numpy as np

Compute = Callable[..., Any]

SHAPE = (8, 6, 3)
"""Of both inputs, in Keras' order and without the batch; all sizes differ, so that a swapped axis shows."""


def array(*shape: int, seed: int = 0) -> np.ndarray:
    """Some numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """Some numbers of which none is 0 or below."""
    return np.abs(array(*shape, seed=seed)) + np.float32(0.5)
