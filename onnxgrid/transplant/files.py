"""A transplant from file to file: checks the paths, plans, and writes the new model when all is well."""

import logging
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from converters.model_file import require_one_file, save_model
from converters.weights import read_weights
from converters.weights.onnx import embed_external_data, open_onnx
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import apply_plan
from onnxgrid.transplant.matching import Rename
from onnxgrid.transplant.plan import TransplantPlan, describe_targets, plan_transplant
from onnxgrid.transplant.report import TransplantReport

__all__ = ["transplant_files"]

MODEL_SUFFIX = ".onnx"

logger = logging.getLogger(__name__)


def transplant_files(
    source: Path, target: Path, out: Path | None, *, renames: Sequence[Rename], strict: bool, dry_run: bool
) -> TransplantReport:
    """`onnxgrid.transplant`, which documents it."""
    _check_paths(source, target, out, dry_run=dry_run)
    weights, model = read_weights(source), open_onnx(target)
    plan = plan_transplant(weights, describe_targets(model), renames)
    if strict:
        _refuse_differences(plan, source, target)
    for rename in renames:
        if not any(rename.pattern.search(name) for name in weights):
            logger.warning("%s: no name matches the rename '%s'", source, rename)
    if plan.targets and not plan.copied:
        logger.warning("%s: nothing to copy into %s: no parameter has the same name and shape in both", source, target)
    written = out is not None and not dry_run
    if out is not None and written:
        require_one_file(model, out)
        filled = apply_plan(plan, weights, model)
        embed_external_data(filled, str(target))
        try:
            save_model(filled, out)
        except ir.serde.SerdeError as error:
            # Protobuf reads text that is not UTF-8, and finds fault with it only when it is to be written.
            raise TransplantError(
                "the graph holds damaged text and cannot be written again", place=str(target), fix="Give a whole model."
            ) from error
    return TransplantReport(str(source), str(target), None if out is None else str(out), written, plan)


def _check_paths(source: Path, target: Path, out: Path | None, *, dry_run: bool) -> None:
    for role, path in (("target", target), ("output", out)):
        if path is not None and path.suffix.lower() != MODEL_SUFFIX:
            raise TransplantError(
                f"the {role} of a transplant is a model, and '{path.suffix}' is not the suffix of one",
                place=str(path),
                fix=f"Give a {MODEL_SUFFIX} file.",
            )
    if out is None:
        if not dry_run:
            raise TransplantError(
                "there is no output to write to",
                place=f"transplant of {source} into {target}",
                fix="Give an output, or ask for a dry run.",
            )
        return
    for role, path in (("source", source), ("target", target)):
        if _is_same_file(out, path):
            raise TransplantError(
                f"the output is the {role}, which is never changed", place=str(out), fix="Give the output another name."
            )
    if not out.parent.is_dir() or out.is_dir():
        raise TransplantError(
            "the output cannot be written there", place=str(out), fix="Give the path of a file in a folder that exists."
        )


def _is_same_file(out: Path, path: Path) -> bool:
    return out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path))


def _refuse_differences(plan: TransplantPlan, source: Path, target: Path) -> None:
    lines = plan.lines()
    if lines:
        raise TransplantError(
            "the transplant is strict, and this does not match:\n" + "\n".join(lines),
            place=f"{source} into {target}",
            fix="Rename what has another name, or allow differences.",
        )
