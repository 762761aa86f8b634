"""Normalizations over several axes, whose parameters Keras keeps in an order that only a model tells.

Their (H, W, C) is (C, H, W) in a model whose channels come first. A file of Keras alone is read as it lies, which is
wrong wherever another kind of file takes it, or gives it.
"""

import logging
from collections.abc import Mapping, Sequence

from converters.weights import Weight
from converters.weights.keras_arrays import KerasArray
from onnxgrid.transplant.plan import TransplantPlan

__all__ = ["untold_axes", "warn_of_untold_axes"]

logger = logging.getLogger(__name__)


def untold_axes(weights: Mapping[str, Weight]) -> tuple[str, ...]:
    """The names of those whose axes stand in Keras' order, as nothing told the model's."""
    return tuple(
        n for n, weight in weights.items() if isinstance(weight.read, KerasArray) and not weight.read.axes_are_told
    )


def warn_of_untold_axes(
    plan: TransplantPlan, source: tuple[str, Sequence[str]], target: tuple[str, Sequence[str]]
) -> None:
    """Log what has its axes in Keras' order in one end alone.

    Args:
        source: its place, and its `untold_axes`.
        target: the same.
    """
    matches = (*plan.copied, *plan.adapted, *plan.shape_mismatch, *plan.uncertain)
    in_source, in_target = set(source[1]), set(target[1])
    for which, place, names in (
        ("source", source[0], [m.source for m in matches if m.source in in_source and m.target.name not in in_target]),
        (
            "target",
            target[0],
            [m.target.name for m in matches if m.target.name in in_target and m.source not in in_source],
        ),
    ):
        if names:
            logger.warning(
                "%s: %s of normalizations over several axes stand as Keras has them, as (H, W, C), and nothing tells "
                "how a model has them: give --%s-graph MODEL.onnx, or leave them out with --exclude",
                place,
                ", ".join(f"'{name}'" for name in names),
                which,
            )
