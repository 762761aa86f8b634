"""A transplant that is planned and can be looked at and changed, until it is carried out."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.atomic_file import replacing_or_refused
from converters.errors import WeightFileError
from converters.head_start import HeadStart
from converters.weights import files_of, is_rewritten_as
from converters.weights.weight import FLOAT_DTYPES
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import carried_weights
from onnxgrid.transplant.ends import Ends, FileOrModel, MemoryTarget, Model, expected_names, open_ends
from onnxgrid.transplant.matching import Rename, prefix_rename, rename_all, unused_renames
from onnxgrid.transplant.moments import Checkpoint, open_checkpoint, write_checkpoint
from onnxgrid.transplant.output import check_output, is_same_file
from onnxgrid.transplant.plan import TransplantPlan
from onnxgrid.transplant.planning import plan_between
from onnxgrid.transplant.report import TransplantReport
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.sides import Side
from onnxgrid.transplant.statistics import changes_of
from onnxgrid.transplant.structure import Pair
from onnxgrid.transplant.targets import Output, Target
from onnxgrid.transplant.untold_axes import warn_of_untold_axes

__all__ = ["PlannedTransplant", "plan_ends", "require_output"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedTransplant:
    """What of a source goes where in a target. Not to be changed: `without` and `paired` give another one.

    Args:
        ends: the source and the target, opened.
        rules: by which it was planned.
        plan: the lists of what is carried and what is not.
        forced: what was paired by hand: by name of the target.
    """

    ends: Ends
    rules: TransplantRules
    plan: TransplantPlan
    forced: tuple[tuple[str, str], ...] = ()

    def lines(self) -> list[str]:
        """One line for each thing that will not be carried."""
        return self.plan.lines()

    def without(self, *globs: str) -> "PlannedTransplant":
        """The same, but what these globs match (layers, or parameters of the target) stays as it is.

        Raises:
            TransplantError: if one matches nothing.
        """
        return self._planned(replace(self.rules, exclude=(*self.rules.exclude, *globs)), self.forced)

    def paired(self, target: str, source: str) -> "PlannedTransplant":
        """The same, but that parameter of the target is filled from that weight of the source, whatever their names.

        Raises:
            TransplantError: if there is no such parameter, or no such weight.
        """
        for name, held, place in (
            (target, {parameter.name for parameter in self.plan.targets}, self.ends.target_place),
            (source, set(self.ends.source.weights), self.ends.source.place),
        ):
            if name not in held:
                raise TransplantError(
                    f"there is no '{name}'", place=place, fix="Give a name as `onnxgrid inspect` shows it."
                )
        return self._planned(self.rules, (*(pair for pair in self.forced if pair[0] != target), (target, source)))

    def _planned(self, rules: TransplantRules, forced: tuple[tuple[str, str], ...]) -> "PlannedTransplant":
        return replace(self, rules=rules, forced=forced, plan=_plan(self.ends, rules, forced))

    def require_strict(self) -> None:
        """Nothing, if everything that is not excluded is carried, and nothing of the source is left.

        Raises:
            TransplantError: else, with the lines.
        """
        lines = self.lines()
        if lines:
            raise TransplantError(
                "the transplant is strict, and this does not match:\n" + "\n".join(lines),
                place=f"{self.ends.source.place} into {self.ends.target_place}",
                fix="Rename what has another name, or allow differences.",
            )

    def apply(
        self,
        out: Path | str | None = None,
        *,
        strict: bool = False,
        dry_run: bool = False,
        in_place: bool = False,
        dtype: npt.DTypeLike | None = None,
        max_shard_bytes: int | None = None,
        statistics: bool = False,
        head_start: HeadStart | None = None,
    ) -> TransplantReport:
        """Carry it out, as `onnxgrid.transplant` does, which documents the arguments and errors."""
        out = None if out is None else Path(out)
        target = self.ends.target
        where = target if isinstance(target, MemoryTarget) else target.path
        require_output(self.ends.source.path, where, out, dry_run=dry_run, in_place=in_place)
        if out is not None:
            target.require_writable(out)
        if strict:
            self.require_strict()
        self.ends.require_unchanged()
        self.warn()
        if isinstance(target, MemoryTarget) and (dtype is not None or max_shard_bytes is not None):
            raise TransplantError(
                "a model in memory keeps its types, and is no file",
                place=self.ends.target_place,
                fix="Leave dtype and max_shard_bytes out.",
            )
        changes = changes_of(self.plan, self.ends.source.weights, self.ends.target.weights) if statistics else {}
        model: Model | None = None
        moments: tuple[str, ...] = ()
        written = out is not None and not dry_run and bool(self.plan.carried)
        if isinstance(target, MemoryTarget):
            model = None if dry_run else self._fill(target, out if written else None)
        elif written:
            assert out is not None, "a file is written to a file, as was checked"
            how = Output(dtype=_float_dtype(dtype), max_shard_bytes=max_shard_bytes, head_start=head_start)
            moments = self._write(target, out, how)
        places = self.ends.source.place, self.ends.target_place, None if out is None else str(out)
        unused = tuple(str(rename) for rename in self._unused_renames())
        return TransplantReport(*places, written, self.plan, changes, moments, unused, model)

    def _fill(self, target: MemoryTarget, out: Path | None) -> Model:
        model = target.filled(carried_weights(self.plan, self.ends.source.weights, target.weights))
        if out is not None:
            target.write(model, out)
        return model

    def _write(self, target: Target, out: Path, how: Output) -> tuple[str, ...]:
        """Write the target's file anew; the names of the parameters whose moments went with them."""
        carried = carried_weights(self.plan, self.ends.source.weights, target.weights)
        paths = [path for path in (self.ends.source.path, target.path) if path is not None]
        read = [path for path in paths if not is_same_file(out, path)]
        durable = len(read) < len(paths)  # what is replaced cannot be made again
        plain = how.dtype is None and how.max_shard_bytes is None  # else moments stay, or the kind of file refuses it
        checkpoints = _checkpoints(self.ends.source.path, target.path, out) if plain else None
        if checkpoints is not None:
            with replacing_or_refused(out, WeightFileError, durable=durable) as temporary:
                return write_checkpoint(temporary, *checkpoints, self.plan, carried)
        spared = [file for path in read for file in files_of(path)]
        target.write(out, carried, replace(how, durable=durable, spared=spared))
        return ()

    def warn(self) -> None:
        """Log what was asked for and does not happen: renames that match nothing, and a transplant of nothing."""
        place = self.ends.source.place
        for rename in self._unused_renames():
            logger.warning("%s: no name matches the rename '%s'", place, rename)
        if self.plan.targets and not self.plan.carried:
            logger.warning(
                "%s: nothing to copy into %s: no parameter has the same name and shape in both%s",
                place,
                self.ends.target_place,
                self._hint(),
            )

    def _hint(self) -> str:
        """The rename that would make names match, where it is one of a prefix."""
        names = list(rename_all(self.ends.source.weights, self.rules.renames))
        rename = prefix_rename(names, {parameter.name for parameter in self.plan.targets})
        return f" (names would match with --map '{rename}')" if rename else ""

    def _unused_renames(self) -> list[Rename]:
        return unused_renames(self.ends.source.weights, self.rules.renames)


def _checkpoints(source: Path | None, target: Path, out: Path) -> tuple[Checkpoint, Checkpoint] | None:
    """The target and the source, if both are checkpoints of `onnxgrid train`, and the output is to be one."""
    if not is_rewritten_as(target, out):
        return None
    first = open_checkpoint(source)
    second = None if first is None else open_checkpoint(target)
    return None if first is None or second is None else (second, first)


def _float_dtype(given: npt.DTypeLike | None) -> np.dtype[Any] | None:
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


def require_output(
    source: FileOrModel | None,
    target: FileOrModel | MemoryTarget,
    out: Path | str | None,
    *,
    dry_run: bool,
    in_place: bool,
) -> None:
    """Nothing, if there is an output where one is needed, and it can be written there.

    Raises:
        TransplantError: else.
    """
    in_memory = not isinstance(target, Path | str)
    if out is None and in_memory:
        return
    paths = {
        "source": Path(source) if isinstance(source, Path | str) else None,
        "target": Path(target) if isinstance(target, Path | str) else None,
    }
    check_output(paths, None if out is None else Path(out), dry_run=dry_run, in_place=in_place)


def plan_ends(
    source: FileOrModel,
    target: FileOrModel,
    rules: TransplantRules,
    *,
    source_graph: FileOrModel | None = None,
    target_graph: FileOrModel | None = None,
    target_place: str | None = None,
) -> PlannedTransplant:
    """`onnxgrid.plan_transplant`, which documents it; `target_place` stands for a model in memory in errors."""
    ends = open_ends(source, target, source_graph, target_graph, target_place)
    return PlannedTransplant(ends, rules, _plan(ends, rules, ()))


def _plan(ends: Ends, rules: TransplantRules, forced: tuple[tuple[str, str], ...]) -> TransplantPlan:
    path = None if isinstance(ends.target, MemoryTarget) else ends.target.path
    sides = (
        Side(ends.source.place, ends.source.graph, ends.source.path),
        Side(ends.target_place, ends.target_graph, path),
    )
    pairs = {target: Pair(source, 1.0) for target, source in forced}
    weights = ends.source.weights
    plan = plan_between(weights, sides[0], ends.target.parameters, sides[1], rules, expected_names(ends), forced=pairs)
    warn_of_untold_axes(plan, (ends.source.place, weights), (ends.target_place, ends.target.weights))
    return plan
