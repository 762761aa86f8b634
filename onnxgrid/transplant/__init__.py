"""Weights carried from one model to another: match by name, plan, copy, report.

This package is the public function `onnxgrid.transplant` too (`onnxgrid/__init__.py` says how), so importing it must
stay cheap: everything is imported when the function is called.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy.typing as npt

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
    in_place: bool = False,
    dtype: "npt.DTypeLike | None" = None,
    max_shard_bytes: int | None = None,
) -> "TransplantReport":
    """Write `out`: the target with every weight that `source` has by the same name and shape; report.

    Parameters and BatchNormalization statistics are carried; values are cast to the target's type. Neither file is
    changed; `out` appears whole or not at all, and needs neither of them.

    Args:
        source: a model (`.onnx`) or a weight file (`.pt`, `.pth`, `.h5`, `.weights.h5`, `.keras`, `.safetensors`,
            `.safetensors.index.json`, `.npz`, `.npy`).
        target: the same; `source` itself to carry all of it into another format.
        out: of the target's kind, which then keeps all else that the target holds; or of another kind of weight file.
            May be left out with `dry_run`.
        renames: applied in order to each name of the source before it is looked for in the target.
        strict: whatever is not copied is an error, raised before anything is written.
        dry_run: plan and report, write nothing.
        in_place: whether `out` may be `source` or `target`, which then is replaced.
        dtype: of all weights of `out` that are floats; None for that of the target. A model keeps its own.
        max_shard_bytes: how large each file may be, where `out` is an index of several (`.safetensors.index.json`).

    Raises:
        TransplantError: if `out` is missing, cannot be made of the target, or is one of the two files and not in place;
            if two weights get one name, or `strict` finds a difference.
        WeightFileError: if a file cannot be read, or a value does not fit the target's type.
    """
    from onnxgrid.transplant.files import transplant_files

    return transplant_files(
        Path(source),
        Path(target),
        None if out is None else Path(out),
        renames=renames,
        strict=strict,
        dry_run=dry_run,
        in_place=in_place,
        dtype=dtype,
        max_shard_bytes=max_shard_bytes,
    )
