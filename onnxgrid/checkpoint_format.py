"""What the checkpoints of `onnxgrid train` are called and marked with, for their writer and their readers."""

import re

__all__ = ["FORMAT", "VERSION", "epoch_of", "stem_of"]

FORMAT, VERSION = "onnxgrid-checkpoint", 1
"""What a `.pt` holds under `format` and `version`."""

STEM = "model_checkpoint_"


def stem_of(epoch: int) -> str:
    """The name of both files of an epoch, without suffix."""
    return f"{STEM}{epoch}"


def epoch_of(stem: str) -> int | None:
    """The epoch of a file of this name, None if it is no checkpoint's."""
    found = re.fullmatch(rf"{STEM}(\d+)", stem)
    return None if found is None else int(found[1])
