"""A plan is carried out: what was planned goes into the target's copy, and what was done is reported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.atomic_file import replacing_or_refused
from converters.errors import WeightFileError
from converters.weights import Weight, Writing, files_of, is_rewritten_as
from converters.weights.weight import FLOAT_DTYPES
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import carried_weights
from onnxgrid.transplant.moments import Checkpoint, open_checkpoint, write_checkpoint
from onnxgrid.transplant.output import is_same_file
from onnxgrid.transplant.report import TransplantReport
from onnxgrid.transplant.statistics import changes_of
from onnxgrid.transplant.targets import Model

if TYPE_CHECKING:
    from onnxgrid.transplant.planned import PlannedTransplant

__all__ = ["carry_out", "float_dtype"]


def carry_out(
    planned: "PlannedTransplant", out: Path | None, how: Writing, *, strict: bool, dry_run: bool, statistics: bool
) -> TransplantReport:
    """Fill the target, and write it to an output that was checked (`check_output`).

    Arguments and errors are those of `onnxgrid.transplant`. Which files are replaced decides whether to wait for the
    disk, and what is not to be removed.
    """
    plan, source, target = planned.plan, planned.ends.source, planned.ends.target
    target.require_writable(out, how)
    if strict:
        planned.require_strict()
    planned.ends.require_unchanged()
    planned.warn()
    changes = changes_of(plan, source.weights, target.weights) if statistics else {}
    written = out is not None and not dry_run and bool(plan.carried)
    model: Model | None = None
    moments: tuple[str, ...] = ()
    if not dry_run:
        carried = carried_weights(plan, source.weights, target.weights)
        if out is None or not written:
            model = target.carry(carried, None, how)
        else:
            model, moments = _write(planned, carried, out, how)
    places = source.place, target.place, None if out is None else str(out)
    unused = tuple(str(rename) for rename in planned.unused_renames())
    return TransplantReport(*places, written, plan, changes, moments, unused, model)


def _write(
    planned: "PlannedTransplant", carried: Mapping[str, Weight], out: Path, how: Writing
) -> tuple[Model | None, tuple[str, ...]]:
    """Write the target anew: the copy of a model in memory, and the parameters whose moments went with them."""
    source, target = planned.ends.source, planned.ends.target
    paths = [path for path in (source.path, target.path) if path is not None]
    read = [path for path in paths if not is_same_file(out, path)]
    durable = (
        len(read) < len(paths) or target.path is None
    )  # what is replaced, or is nowhere else, cannot be made again
    plain = how.dtype is None and how.max_shard_bytes is None  # else moments stay, or the kind of file refuses it
    checkpoints = _checkpoints(source.path, target.path, out) if plain else None
    if checkpoints is not None:
        with replacing_or_refused(out, WeightFileError, durable=durable) as temporary:
            return None, write_checkpoint(temporary, *checkpoints, planned.plan, carried)
    spared = frozenset(file.resolve() for path in read for file in files_of(path))
    return target.carry(carried, out, replace(how, durable=durable, spared=spared)), ()


def _checkpoints(source: Path | None, target: Path | None, out: Path) -> tuple[Checkpoint, Checkpoint] | None:
    """The target and the source, if both are checkpoints of `onnxgrid train`, and the output is to be one."""
    if target is None or not is_rewritten_as(target, out):
        return None
    first = open_checkpoint(source)
    second = None if first is None else open_checkpoint(target)
    return None if first is None or second is None else (second, first)


def float_dtype(given: npt.DTypeLike | None) -> np.dtype[Any] | None:
    """The type that all floating-point weights are to have; None for none.

    Raises:
        TransplantError: if it is none that weights are cast to.
    """
    if given is None:
        return None
    try:
        dtype = np.dtype(given)
    except TypeError:
        dtype = None
    if dtype not in FLOAT_DTYPES:
        raise TransplantError(
            "is not a type that weights are cast to",
            place=f"dtype {given!r}",
            fix=f"Use one of: {', '.join(sorted(str(known) for known in FLOAT_DTYPES))}.",
        )
    return dtype
