"""Weights carried from one model to another: match by name, plan, copy, report.

This package is the public function `onnxgrid.transplant` too (`onnxgrid/__init__.py` says how), so importing it must
stay cheap: everything is imported when the function is called.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy.typing as npt

    from converters.head_start import HeadStart
    from onnxgrid.transplant.ends import FileOrModel
    from onnxgrid.transplant.matching import Rename
    from onnxgrid.transplant.planned import PlannedTransplant
    from onnxgrid.transplant.report import TransplantReport
    from onnxgrid.transplant.rules import TransplantRules

__all__ = ["plan_transplant", "transplant"]


def transplant(
    source: "FileOrModel",
    target: "FileOrModel",
    out: Path | str | None = None,
    rules: "TransplantRules | None" = None,
    *,
    renames: "Sequence[Rename]" = (),
    source_graph: "FileOrModel | None" = None,
    target_graph: "FileOrModel | None" = None,
    strict: bool = False,
    dry_run: bool = False,
    in_place: bool = False,
    dtype: "npt.DTypeLike | None" = None,
    max_shard_bytes: int | None = None,
    statistics: bool = False,
) -> "TransplantReport":
    """Write `out`: the target with every weight that `source` has by the same name and shape; report.

    Parameters and BatchNormalization statistics are carried; values are cast to the target's type. Neither end is
    changed; `out` appears whole or not at all, and needs neither of them. Nothing is written if nothing is carried. A
    model in memory (`onnx.ModelProto`, `onnx_ir.Model`) needs no `out`: `TransplantReport.model` is a filled copy.

    Args:
        source: a model (`.onnx`) or a weight file (`.pt`, `.pth`, `.h5`, `.weights.h5`, `.keras`, `.safetensors`,
            `.safetensors.index.json`, `.npz`, `.npy`), or a model in memory.
        target: the same; `source` itself to carry all of it into another format.
        out: of the target's kind, which then keeps all else that the target holds; or of another kind of weight file,
            said by its name. May be left out with `dry_run`.
        rules: what goes where besides names that are the same, and how shapes are adapted.
        renames: as in `rules`, applied after those.
        source_graph: the model that the weights are of, where the source is a weight file and does not say what `rules`
            ask.
        target_graph: the same for the target.
        strict: whatever is not carried is an error, raised before anything is written.
        dry_run: plan and report, write nothing.
        in_place: whether `out` may be `source` or `target`, which then is replaced.
        dtype: of all weights of `out` that are floats; None for that of the target. Refused for a model.
        max_shard_bytes: how large each file may be, where `out` is an index of several (`.safetensors.index.json`).
        statistics: whether the report has the norm and the mean of each tensor before and after, which reads them all.

    Raises:
        TransplantError: if `out` is missing, cannot be made of the target, or is one of the two files and not in place;
            if two weights get one name, the rules do not fit the ends, or `strict` finds a difference.
        WeightFileError: if a file cannot be read, or a value does not fit the target's type.
    """
    out = None if out is None else Path(out)
    with _begun(source, target, None if dry_run or renames or rules is not None else out) as begun:
        from dataclasses import replace

        from onnxgrid.transplant.output import checked_writing

        paths = {"source": _path(source), "target": _path(target)}
        how = checked_writing(
            paths, out, dry_run=dry_run, in_place=in_place, dtype=dtype, max_shard_bytes=max_shard_bytes
        )
        asked = _with_renames(rules, renames)
        planned = plan_transplant(source, target, asked, source_graph=source_graph, target_graph=target_graph)
        return planned.carry_out(
            out, replace(how, head_start=begun), strict=strict, dry_run=dry_run, statistics=statistics
        )


def _with_renames(rules: "TransplantRules | None", renames: "Sequence[Rename]") -> "TransplantRules":
    from dataclasses import replace

    from onnxgrid.transplant.rules import NO_RULES

    asked = rules or NO_RULES
    return replace(asked, renames=(*asked.renames, *renames))


def _path(end: "FileOrModel") -> Path | None:
    return Path(end) if isinstance(end, Path | str) else None


def _begun(source: "FileOrModel", target: "FileOrModel", out: Path | None) -> "HeadStart":
    """Begin to copy, before the libraries are loaded that plan and write.

    Args:
        out: None if nothing will be written there, or what is carried cannot be foreseen from names.
    """
    from converters.head_start import HeadStart
    from converters.model_suffix import is_model_file

    ends = _path(source), _path(target), out
    paths = [path for path in ends if path is not None and is_model_file(path)]
    return HeadStart(*paths) if len(paths) == 3 else HeadStart()


def plan_transplant(
    source: "FileOrModel",
    target: "FileOrModel",
    rules: "TransplantRules | None" = None,
    *,
    source_graph: "FileOrModel | None" = None,
    target_graph: "FileOrModel | None" = None,
) -> "PlannedTransplant":
    """What `transplant` would carry, to look at, to change (`without`, `paired`) and to carry out (`apply`).

    Arguments and errors are those of `transplant`; no values are read.
    """
    from onnxgrid.transplant.planned import plan_ends
    from onnxgrid.transplant.rules import NO_RULES

    return plan_ends(source, target, rules or NO_RULES, source_graph=source_graph, target_graph=target_graph)
