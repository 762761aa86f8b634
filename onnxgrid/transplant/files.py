"""A transplant from file to file, or from a file into a model in memory: checks, plans, and writes when all is well."""

import logging
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from converters.model_file import require_one_file, save_model
from converters.weights import Weights, network_layers, read_weights
from converters.weights.keras import HDF5_SUFFIXES, KERAS3_SUFFIX
from converters.weights.keras2_layout import keras2_names
from converters.weights.onnx import embed_external_data, open_onnx
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import apply_plan
from onnxgrid.transplant.matching import Rename
from onnxgrid.transplant.plan import TransplantPlan, describe_targets, plan_transplant
from onnxgrid.transplant.report import TransplantReport

__all__ = ["fill_from_file", "plan_from_file", "transplant_files"]

MODEL_SUFFIX = ".onnx"

logger = logging.getLogger(__name__)


def transplant_files(
    source: Path, target: Path, out: Path | None, *, renames: Sequence[Rename], strict: bool, dry_run: bool
) -> TransplantReport:
    """`onnxgrid.transplant`, which documents it."""
    _check_paths(source, target, out, dry_run=dry_run)
    model = open_onnx(target)
    weights, plan = plan_from_file(source, model, renames)
    if strict:
        _refuse_differences(plan, str(source), str(target))
    for rename in renames:
        if not any(rename.pattern.search(name) for name in weights):
            logger.warning("%s: no name matches the rename '%s'", source, rename)
    _warn_if_nothing_fits(plan, str(source), str(target))
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


def plan_from_file(source: Path, model: ir.Model, renames: Sequence[Rename] = ()) -> tuple[Weights, TransplantPlan]:
    """The weights of a file, and what of them goes where in a model; no values are read.

    Raises:
        TransplantError: if the renames give two weights one name.
        WeightFileError: if the file cannot be read.
    """
    network = network_layers(model)
    weights = read_weights(source, network)
    # Keras 3 numbers what it stores in `.weights.h5`: there, what is missing has no name.
    named = source.name.lower().endswith(HDF5_SUFFIXES) and not source.name.lower().endswith(KERAS3_SUFFIX)
    expected = keras2_names(network) if named else {}
    return weights, plan_transplant(weights, describe_targets(model), renames, expected)


def fill_from_file(source: Path, model: ir.Model, place: str, *, strict: bool) -> tuple[ir.Model, TransplantReport]:
    """A copy of the model with every weight that the file has by the same name and shape, and what was done.

    Args:
        place: the model's file, for errors.
        strict: whatever is not copied is an error.

    Raises:
        TransplantError: if `strict` finds a difference.
        WeightFileError: if the file cannot be read, or a value does not fit the model's type.
    """
    weights, plan = plan_from_file(source, model)
    if strict:
        _refuse_differences(plan, str(source), place)
    _warn_if_nothing_fits(plan, str(source), place)
    return apply_plan(plan, weights, model), TransplantReport(str(source), place, None, False, plan)


def _warn_if_nothing_fits(plan: TransplantPlan, source: str, target: str) -> None:
    if plan.targets and not plan.copied:
        logger.warning("%s: nothing to copy into %s: no parameter has the same name and shape in both", source, target)


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


def _refuse_differences(plan: TransplantPlan, source: str, target: str) -> None:
    lines = plan.lines()
    if lines:
        raise TransplantError(
            "the transplant is strict, and this does not match:\n" + "\n".join(lines),
            place=f"{source} into {target}",
            fix="Rename what has another name, or allow differences.",
        )
