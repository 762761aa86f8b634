"""How large the values of each tensor are before and after a transplant."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.weights import Weight, Weights
from onnxgrid.transplant.plan import TransplantPlan

__all__ = ["CHUNK", "Change", "TensorStatistics", "changes_of", "statistics_of"]

CHUNK = 2**16
"""Values that are taken to float64 at once: half a MiB, which stays in a processor's cache."""


@dataclass(frozen=True)
class TensorStatistics:
    """The Euclidean norm and the mean of a tensor; not numbers where a value is none."""

    norm: float
    mean: float

    def to_json(self) -> dict[str, float | None]:
        """JSON has no NaN and no infinity: None stands for them."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


@dataclass(frozen=True)
class Change:
    """A tensor of the target before and after."""

    before: TensorStatistics
    after: TensorStatistics


def statistics_of(values: np.ndarray[Any, np.dtype[Any]]) -> TensorStatistics:
    """Norm and mean in float64; 0 of a tensor without values."""
    squares = total = 0.0
    with np.errstate(all="ignore"):  # what is not finite shows in the result
        for chunk in _chunks(values):
            total += float(chunk.sum())
            squares += float(np.square(chunk, out=chunk).sum())  # np.dot would wait for threads
    return TensorStatistics(math.sqrt(squares), total / values.size if values.size else 0.0)


def _chunks(values: np.ndarray[Any, np.dtype[Any]]) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    flat = values.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK].astype(np.float64)


def changes_of(plan: TransplantPlan, source: Weights, target: Weights) -> dict[str, Change]:
    """By name, each parameter of the target before and after the plan is carried out; reads one tensor at a time.

    Raises:
        WeightFileError: if one cannot be read or cast to the target's type.
    """
    carried = {match.target.name: match for match in plan.carried}
    changes: dict[str, Change] = {}
    for parameter in plan.targets:
        held: Weight = target[parameter.name]
        before = statistics_of(held.read())
        after = before
        if parameter.name in carried:
            after = statistics_of(carried[parameter.name].carried(source, held.read).values(held.dtype))
        changes[parameter.name] = Change(before, after)
    return changes
