"""Carries out a plan: reads what is to be copied, in the target's type, into a copy of the model."""

import onnx_ir as ir

from converters.weights import Weights
from converters.weights.onnx import initializer_tensor, write_initializers
from onnxgrid.transplant.plan import TransplantPlan

__all__ = ["apply_plan"]


def apply_plan(plan: TransplantPlan, source: Weights, model: ir.Model) -> ir.Model:
    """A copy of the model with the planned initializers replaced: same graph, names, metadata and types.

    Raises:
        WeightFileError: if a weight cannot be read, or a value does not fit the type of its initializer.
    """
    types = {match.target.name: initializer_tensor(model, match.target.name).dtype.numpy() for match in plan.copied}
    values = {match.target.name: source[match.source].values(types[match.target.name]) for match in plan.copied}
    return write_initializers(model, values)
