"""Carries out a plan: what is to be carried, under the target's names, goes into a model or a file."""

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from converters.weights import Weight, Weights
from converters.weights.onnx import fill_initializers
from onnxgrid.transplant.plan import TransplantPlan

__all__ = ["carried_weights", "fill", "filled"]


def carried_weights(plan: TransplantPlan, source: Weights, target: Weights) -> Mapping[str, Weight]:
    """What a plan carries, by the target's names and in its shapes; values are read, and adapted, when asked for.

    Args:
        target: what the target holds so far: some rules fill up with it.
    """
    return {
        match.target.name: replace(
            match.carried(source, target[match.target.name].read), name=match.target.name, stored_name=match.stored_name
        )
        for match in plan.carried
    }


def filled(model: ir.Model, held: Weights, carried: Mapping[str, Weight]) -> ir.Model:
    """A copy of the model with other values, as `fill` gives them."""
    copy = model.clone()
    fill(copy, held, carried)
    return copy


def fill(model: ir.Model, held: Weights, carried: Mapping[str, Weight]) -> None:
    """Change the model in place: it gets other values, cast to the types that its initializers have.

    Args:
        held: what the model holds.
    """
    fill_initializers(model, {name: weight.cast(held[name].dtype).read for name, weight in carried.items()})
