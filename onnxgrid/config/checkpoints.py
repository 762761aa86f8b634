"""`checkpoints`: what is loaded before the first epoch and what is saved after each."""

from onnxgrid.config.paths import InputFile, OutputPath
from onnxgrid.config.section import Section
from onnxgrid.config.values import Count

__all__ = ["CheckpointsConfig"]


class CheckpointsConfig(Section):
    """`save` is a directory, created if missing; a checkpoint is written every `interval` epochs and after the last."""

    save: OutputPath | None = None
    interval: Count = 1
    load: InputFile | None = None
