"""Weights carried from one model to another: match by name, plan, copy, report.

This package is the public function `onnxgrid.transplant` too (`onnxgrid/__init__.py` says how), so importing it must
stay cheap: everything is imported when the function is called.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxgrid.transplant.matching import Rename
    from onnxgrid.transplant.report import TransplantReport

__all__ = ["transplant"]


def transplant(
    source: Path | str,
    target: Path | str,
    out: Path | str | None = None,
    *,
    renames: "Sequence[Rename]" = (),
    strict: bool = False,
    dry_run: bool = False,
) -> "TransplantReport":
    """Write `out`: the model `target` with every initializer that `source` has by the same name and shape; report.

    Parameters and BatchNormalization statistics are carried; values are cast to the target's type. Neither file is
    changed; `out` appears whole or not at all, and holds the data of its own even if `target` keeps it elsewhere.

    Args:
        source: a weight file (`.onnx`, `.pt`, `.pth`, `.h5`, `.weights.h5`, `.keras`, `.safetensors`, `.npz`, `.npy`).
        target: a model (`.onnx`).
        out: where the model goes (`.onnx`); may be left out with `dry_run`.
        renames: applied in order to each name of the source before it is looked for in the target.
        strict: whatever is not copied is an error, raised before anything is written.
        dry_run: plan and report, write nothing.

    Raises:
        TransplantError: if `out` is missing or is one of the two files, two weights get one name, or `strict` finds a
            difference.
        WeightFileError: if a file cannot be read, or a value does not fit the target's type.
    """
    from onnxgrid.transplant.files import transplant_files

    return transplant_files(
        Path(source), Path(target), None if out is None else Path(out), renames=renames, strict=strict, dry_run=dry_run
    )
