"""Where the result of a transplant may be written, and as what: never over a file that it is made of, unless that is
asked for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.weights import Writing, files_of
from converters.weights.weight import FLOAT_DTYPES
from onnxgrid.errors import TransplantError

__all__ = ["checked_writing", "is_same_file"]


def checked_writing(
    paths: Mapping[str, Path | None],
    out: Path | None,
    *,
    dry_run: bool,
    in_place: bool,
    dtype: npt.DTypeLike | None,
    max_shard_bytes: int | None,
) -> Writing:
    """How an output is written, if there is one where one is needed, and it can be written there: a model in memory
    needs none.

    Args:
        paths: by role, "source" and "target", the file; None of a model in memory.

    Raises:
        TransplantError: if there is none or it cannot be, or if weights are not cast to that type.
    """
    _check_output(paths, out, dry_run=dry_run, in_place=in_place)
    return Writing(dtype=_float_dtype(dtype), max_shard_bytes=max_shard_bytes)


def _check_output(paths: Mapping[str, Path | None], out: Path | None, *, dry_run: bool, in_place: bool) -> None:
    if out is None:
        if not dry_run and paths["target"] is not None:
            raise TransplantError(
                "there is no output to write to",
                place=f"transplant of {paths['source'] or 'a model in memory'} into {paths['target']}",
                fix="Give an output, or ask for a dry run.",
            )
        return
    for role, path in paths.items():
        if path is not None:
            _require_other(out, role, path, in_place=in_place)
    if not out.parent.is_dir() or out.is_dir():
        raise TransplantError(
            "the output cannot be written there", place=str(out), fix="Give the path of a file in a folder that exists."
        )


def _require_other(out: Path, role: str, path: Path, *, in_place: bool) -> None:
    if is_same_file(out, path):
        if not in_place:
            raise TransplantError(
                f"the output is the {role}, which is never changed unless this is asked for",
                place=str(out),
                fix="Give the output another name, or replace the file in place.",
            )
    elif any(is_same_file(out, other) for other in _others(path)):
        raise TransplantError(
            f"the output is one of the files of the {role} {path}", place=str(out), fix="Give the output another name."
        )


def _others(path: Path) -> tuple[Path, ...]:
    """The files that belong to one beside it; none of one that is not there, which is said when it is to be read."""
    return files_of(path)[1:] if path.is_file() else ()


def is_same_file(out: Path, path: Path) -> bool:
    """Whether both are one file, by whatever names."""
    return out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path))


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
