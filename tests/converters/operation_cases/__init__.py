"""Cases of every operation of Keras: one table per family. Who adds an operation adds a case.

A case computes something from two images, x and y, of the shape `SHAPE`. Where its name says so, the batch is known, or
the channels stand first.
"""

from collections.abc import Callable
from typing import Any

from tests.converters.operation_cases import (
    activations,
    arithmetic,
    elementwise,
    images,
    indexing,
    joining,
    linear_algebra,
    logic,
    matrices,
    orders,
    reductions,
    repeating,
    shapes,
    windows,
)

__all__ = ["CASES", "flat"]

Compute = Callable[..., Any]

CASES: dict[str, dict[str, Compute]] = {
    f"keras.ops.{name}": cases
    for family in (
        activations,
        arithmetic,
        elementwise,
        images,
        indexing,
        joining,
        linear_algebra,
        logic,
        matrices,
        orders,
        reductions,
        repeating,
        shapes,
        windows,
    )
    for name, cases in family.CASES.items()
}
"""Operation -> the fact under test -> case."""


def flat() -> dict[str, Compute]:
    """Every case, by operation and fact."""
    return {f"{name}: {fact}": compute for name, cases in CASES.items() for fact, compute in cases.items()}
