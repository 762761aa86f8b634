"""Training: the loop, checkpoints, the log and the result files. `train` runs a configuration from start to end."""

from onnxgrid.training.run import train

__all__ = ["train"]
