"""What was planned goes into the target's copy, and that to a file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from converters.atomic_file import replacing_or_refused
from converters.errors import WeightFileError
from converters.weights import Weight, Writing, files_of, is_rewritten_as
from onnxgrid.transplant.ends import Ends
from onnxgrid.transplant.moments import Checkpoint, open_checkpoint, write_checkpoint
from onnxgrid.transplant.output import is_same_file
from onnxgrid.transplant.plan import TransplantPlan
from onnxgrid.transplant.targets import Model

__all__ = ["write_target"]


def write_target(
    plan: TransplantPlan, ends: Ends, carried: Mapping[str, Weight], out: Path, how: Writing
) -> tuple[Model | None, tuple[str, ...]]:
    """Write the target anew: the copy of a model in memory, and the parameters whose moments went with them.

    Which files are replaced decides whether to wait for the disk, and what is not to be removed.

    Args:
        carried: what the plan carries, by the target's names.
        out: an output that was checked (`onnxgrid.transplant.output`).
    """
    source, target = ends.source, ends.target
    paths = [path for path in (source.path, target.path) if path is not None]
    read = [path for path in paths if not is_same_file(out, path)]
    # What is replaced, or is nowhere else, cannot be made again.
    durable = len(read) < len(paths) or target.path is None
    plain = how.dtype is None and how.max_shard_bytes is None  # else moments stay, or the kind of file refuses it
    checkpoints = _checkpoints(source.path, target.path, out) if plain else None
    if checkpoints is not None:
        with replacing_or_refused(out, WeightFileError, durable=durable) as temporary:
            return None, write_checkpoint(temporary, *checkpoints, plan, carried)
    spared = frozenset(file.resolve() for path in read for file in files_of(path))
    return target.carry(carried, out, replace(how, durable=durable, spared=spared)), ()


def _checkpoints(source: Path | None, target: Path | None, out: Path) -> tuple[Checkpoint, Checkpoint] | None:
    """The target and the source, if both are checkpoints of `onnxgrid train`, and the output is to be one."""
    if target is None or not is_rewritten_as(target, out):
        return None
    first = open_checkpoint(source)
    second = None if first is None else open_checkpoint(target)
    return None if first is None or second is None else (second, first)
