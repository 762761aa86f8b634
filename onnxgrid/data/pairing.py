"""Inputs and targets belong together by position, once both are sorted."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from onnxgrid.errors import DataError

__all__ = ["check_pairing"]

logger = logging.getLogger(__name__)


def check_pairing(inputs: Sequence[str], targets: Sequence[str], *, input_root: Path, target_root: Path) -> None:
    """Check that there is one target for each input; warn once if names of a pair do not look alike.

    Two names look alike if one's stem begins with the other's: `leaf_1.png` and `leaf_1_mask.png`.

    Raises:
        DataError: if the numbers differ.
    """
    if len(inputs) != len(targets):
        raise DataError(
            f"there are {len(targets)} targets here for {len(inputs)} inputs in {input_root}",
            place=str(target_root),
            fix="Give one target for each input.",
        )
    unlike = [pair for pair in zip(inputs, targets, strict=True) if not _look_alike(*pair)]
    if unlike:
        logger.warning(
            "%s: inputs and targets are paired in sorted order, and %d pairs have unlike names, such as %s with %s",
            target_root,
            len(unlike),
            *unlike[0],
        )


def _look_alike(one: str, other: str) -> bool:
    stem, other_stem = PurePosixPath(one).stem, PurePosixPath(other).stem
    return stem.startswith(other_stem) or other_stem.startswith(stem)
