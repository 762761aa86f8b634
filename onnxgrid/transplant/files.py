"""A transplant from file to file, or from a file into a model in memory: checks, plans, and writes when all is well."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy.typing as npt
import onnx_ir as ir

from converters.weights import NetworkLayer, Weights, files_of, network_layers, read_weights
from converters.weights.keras import HDF5_SUFFIXES, KERAS3_SUFFIX
from converters.weights.keras2_layout import keras2_names
from converters.weights.onnx_file import OnnxFile
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import apply_plan, carried_weights
from onnxgrid.transplant.matching import Rename
from onnxgrid.transplant.plan import TransplantPlan, describe_targets, plan_transplant
from onnxgrid.transplant.report import TransplantReport
from onnxgrid.transplant.targets import MODEL_SUFFIX, Output, Target, open_target

__all__ = ["fill_from_file", "open_files", "plan_from_file", "transplant_files"]

logger = logging.getLogger(__name__)


def transplant_files(
    source: Path,
    target: Path,
    out: Path | None,
    *,
    renames: Sequence[Rename],
    strict: bool,
    dry_run: bool,
    in_place: bool = False,
    dtype: npt.DTypeLike | None = None,
    max_shard_bytes: int | None = None,
) -> TransplantReport:
    """`onnxgrid.transplant`, which documents it."""
    _check_output(source, target, out, dry_run=dry_run, in_place=in_place)
    weights, filled = open_files(source, target)
    if out is not None:
        filled.require_writable(out)
    plan = plan_transplant(weights, filled.parameters, renames, _expected_names(source, filled.network))
    if strict:
        _refuse_differences(plan, str(source), str(target))
    for rename in renames:
        if not any(rename.pattern.search(name) for name in weights):
            logger.warning("%s: no name matches the rename '%s'", source, rename)
    _warn_if_nothing_fits(plan, str(source), str(target))
    written = out is not None and not dry_run
    if out is not None and written:
        read = [path for path in (source, target) if not _is_same_file(out, path)]
        how = Output(
            dtype=dtype,
            max_shard_bytes=max_shard_bytes,
            durable=len(read) < 2,  # what is replaced cannot be made again
            spared=[file for path in read for file in files_of(path)],
        )
        filled.write(out, carried_weights(plan, weights), how)
    return TransplantReport(str(source), str(target), None if out is None else str(out), written, plan)


def open_files(source: Path, target: Path) -> tuple[Weights, Target]:
    """The weights of the source, and what they are for; whichever knows its network tells the other.

    Raises:
        WeightFileError: if a file cannot be read.
    """
    if source.suffix.lower() == MODEL_SUFFIX:
        model = OnnxFile.open(source)
        return model.weights(), open_target(target, network_layers(model.model))
    filled = open_target(target)
    return read_weights(source, filled.network), filled


def _expected_names(source: Path, network: Sequence[NetworkLayer]) -> dict[str, str]:
    """What the source would call a parameter that it lacks, where it has names for them."""
    # Keras 3 numbers what it stores in `.weights.h5`: there, what is missing has no name.
    named = source.name.lower().endswith(HDF5_SUFFIXES) and not source.name.lower().endswith(KERAS3_SUFFIX)
    return keras2_names(network) if named else {}


def plan_from_file(source: Path, model: ir.Model, renames: Sequence[Rename] = ()) -> tuple[Weights, TransplantPlan]:
    """The weights of a file, and what of them goes where in a model; no values are read.

    Raises:
        TransplantError: if the renames give two weights one name.
        WeightFileError: if the file cannot be read.
    """
    network = network_layers(model)
    weights = read_weights(source, network)
    return weights, plan_transplant(weights, describe_targets(model), renames, _expected_names(source, network))


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


def _check_output(source: Path, target: Path, out: Path | None, *, dry_run: bool, in_place: bool) -> None:
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
            if not in_place:
                raise TransplantError(
                    f"the output is the {role}, which is never changed unless this is asked for",
                    place=str(out),
                    fix="Give the output another name, or replace the file in place.",
                )
        elif any(_is_same_file(out, other) for other in _others(path)):
            raise TransplantError(
                f"the output is one of the files of the {role} {path}",
                place=str(out),
                fix="Give the output another name.",
            )
    if not out.parent.is_dir() or out.is_dir():
        raise TransplantError(
            "the output cannot be written there", place=str(out), fix="Give the path of a file in a folder that exists."
        )


def _others(path: Path) -> tuple[Path, ...]:
    """The files that belong to one beside it; none of one that is not there, which is said when it is to be read."""
    return files_of(path)[1:] if path.is_file() else ()


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
