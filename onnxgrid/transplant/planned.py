"""A transplant that is planned and can be looked at and changed, until it is carried out."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy.typing as npt

from converters.weights import Writing
from onnxgrid.errors import TransplantError
from onnxgrid.transplant.apply import carried_weights
from onnxgrid.transplant.carry_out import write_target
from onnxgrid.transplant.ends import Ends, FileOrModel, expected_names, open_ends
from onnxgrid.transplant.matching import Rename, prefix_rename, rename_all, unused_renames
from onnxgrid.transplant.output import checked_writing
from onnxgrid.transplant.plan import TransplantPlan
from onnxgrid.transplant.planning import plan_between
from onnxgrid.transplant.report import TransplantReport
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.sides import Side
from onnxgrid.transplant.statistics import changes_of
from onnxgrid.transplant.structure import Pair
from onnxgrid.transplant.targets import Model
from onnxgrid.transplant.untold_axes import untold_axes, warn_of_untold_axes

__all__ = ["PlannedTransplant", "plan_ends"]

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
            (target, {parameter.name for parameter in self.plan.targets}, self.ends.target.place),
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
                place=f"{self.ends.source.place} into {self.ends.target.place}",
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
    ) -> TransplantReport:
        """Carry it out, as `onnxgrid.transplant` does, which documents the arguments and errors."""
        out = None if out is None else Path(out)
        paths = {"source": self.ends.source.path, "target": self.ends.target.path}
        how = checked_writing(
            paths, out, dry_run=dry_run, in_place=in_place, dtype=dtype, max_shard_bytes=max_shard_bytes
        )
        return self.carry_out(out, how, strict=strict, dry_run=dry_run, statistics=statistics)

    def carry_out(
        self, out: Path | None, how: Writing, *, strict: bool, dry_run: bool, statistics: bool
    ) -> TransplantReport:
        """As `apply`, with an output that was checked (`checked_writing`)."""
        source, target = self.ends.source, self.ends.target
        target.require_writable(out, how)
        if strict:
            self.require_strict()
        self.ends.require_unchanged()
        self.warn()
        changes = changes_of(self.plan, source.weights, target.weights) if statistics else {}
        written = out is not None and not dry_run and bool(self.plan.carried)
        model: Model | None = None
        moments: tuple[str, ...] = ()
        if not dry_run:
            carried = carried_weights(self.plan, source.weights, target.weights)
            if out is None or not written:
                model = target.carry(carried, None, how)
            else:
                model, moments = write_target(self.plan, self.ends, carried, out, how)
        places = source.place, target.place, None if out is None else str(out)
        unused = tuple(str(rename) for rename in self._unused_renames())
        return TransplantReport(*places, written, self.plan, changes, moments, unused, model)

    def warn(self) -> None:
        """Log what was asked for and does not happen: renames that match nothing, and a transplant of nothing."""
        place = self.ends.source.place
        for rename in self._unused_renames():
            logger.warning("%s: no name matches the rename '%s'", place, rename)
        if self.plan.targets and not self.plan.carried:
            logger.warning(
                "%s: nothing to copy into %s: no parameter has the same name and shape in both%s",
                place,
                self.ends.target.place,
                self._hint(),
            )

    def _hint(self) -> str:
        """The rename that would make names match, where it is one of a prefix."""
        names = list(rename_all(self.ends.source.weights, self.rules.renames))
        rename = prefix_rename(names, {parameter.name for parameter in self.plan.targets})
        return f" (names would match with --map '{rename}')" if rename else ""

    def _unused_renames(self) -> list[Rename]:
        return unused_renames(self.ends.source.weights, self.rules.renames)


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
    source, target = ends.source, ends.target
    plan = plan_between(
        source.weights,
        Side(source.place, source.graph, source.path),
        target.parameters,
        Side(target.place, ends.target_graph, target.path),
        rules,
        expected_names(ends),
        forced={name: Pair(weight, 1.0) for name, weight in forced},
    )
    warn_of_untold_axes(plan, (source.place, untold_axes(source.weights)), (target.place, target.untold_axes))
    return plan
