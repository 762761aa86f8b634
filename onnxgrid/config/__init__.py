"""The run configuration: one file per section, each a frozen pydantic model; `read_config` fills them from a file.

Whoever holds a `RunConfig` need not check again: every value is in its range, every input file exists, and the
sections fit together.
"""

from onnxgrid.config.checkpoints import CheckpointsConfig
from onnxgrid.config.data import DataConfig, DataType
from onnxgrid.config.loss import BCELossConfig, LossConfig, MSELossConfig, NLLLossConfig, Source
from onnxgrid.config.optimizer import AdamConfig, OptimizerConfig, SGDConfig
from onnxgrid.config.paths import InputPath
from onnxgrid.config.read import read_config
from onnxgrid.config.run import InlineNetwork, RunConfig
from onnxgrid.config.schedule import (
    ExponentialConfig,
    MultiStepConfig,
    ScheduleConfig,
    StepConfig,
    WarmupConfig,
)

__all__ = [
    "AdamConfig",
    "BCELossConfig",
    "CheckpointsConfig",
    "DataConfig",
    "DataType",
    "ExponentialConfig",
    "InlineNetwork",
    "InputPath",
    "LossConfig",
    "MSELossConfig",
    "MultiStepConfig",
    "NLLLossConfig",
    "OptimizerConfig",
    "RunConfig",
    "SGDConfig",
    "ScheduleConfig",
    "Source",
    "StepConfig",
    "WarmupConfig",
    "read_config",
]
