"""A file's weights into a model in memory, for commands that go on with the model."""

from pathlib import Path

import onnx_ir as ir

from onnxgrid.transplant.apply import carried_weights, fill
from onnxgrid.transplant.planned import plan_ends
from onnxgrid.transplant.report import TransplantReport
from onnxgrid.transplant.rules import NO_RULES

__all__ = ["fill_from_file"]


def fill_from_file(source: Path, model: ir.Model, place: str, *, strict: bool) -> TransplantReport:
    """Change the model in place: it gets every weight that the file has by the same name and shape; what was done.

    Args:
        place: the model's file, for errors.
        strict: whatever is not copied is an error.

    Raises:
        TransplantError: if `strict` finds a difference.
        WeightFileError: if the file cannot be read, or a value does not fit the model's type.
    """
    planned = plan_ends(source, model, NO_RULES, target_place=place)
    if strict:
        planned.require_strict()
    planned.warn()
    held = planned.ends.target.weights
    fill(model, held, carried_weights(planned.plan, planned.ends.source.weights, held))
    return TransplantReport(str(source), place, None, False, planned.plan)
