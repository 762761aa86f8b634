"""Weights of a layer into which its normalization was folded, for one that still has it."""

from dataclasses import replace
from functools import partial

from onnxgrid.transplant.adaptation.rule import Adaptation, Array, ReadTarget, Step

__all__ = ["scaled"]


def scaled(adaptation: Adaptation, shape: tuple[int, ...], factor: float, constant: float) -> Adaptation:
    """The adaptation, after the values were multiplied by a factor and a constant was added."""
    if factor == 0:
        detail = f"{constant:g} for what was folded into the layer before"
    else:
        detail = f"{factor:g} times the bias that a folded normalization left"
    step = Step("unfold", shape, detail, partial(_scale, factor=factor, constant=constant))
    return replace(adaptation, steps=(step, *adaptation.steps))


def _scale(values: Array, _read_target: ReadTarget, *, factor: float, constant: float) -> Array:
    changed: Array = values * values.dtype.type(factor) + values.dtype.type(constant)
    return changed
