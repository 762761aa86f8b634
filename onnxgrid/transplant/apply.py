"""Carries out a plan: what is to be copied, in the target's type, goes into a copy of the model."""

from functools import partial

import onnx_ir as ir

from converters.weights import Weights
from converters.weights.onnx import fill_initializers, initializer_tensor
from onnxgrid.transplant.plan import TransplantPlan

__all__ = ["apply_plan"]


def apply_plan(plan: TransplantPlan, source: Weights, model: ir.Model) -> ir.Model:
    """A copy of the model with the planned initializers replaced: same graph, names, metadata and types.

    The source is read when the values are: then WeightFileError is raised if one cannot be read, or does not fit the
    type of its initializer.
    """
    reads = {}
    for match in plan.copied:
        dtype = initializer_tensor(model, match.target.name).dtype.numpy()
        reads[match.target.name] = partial(source[match.source].values, dtype)
    return fill_initializers(model, reads)
