"""What a caller asks of a run besides its configuration."""

from dataclasses import dataclass
from pathlib import Path

from onnxgrid.engines.options import EngineRequest

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """The options of `onnxgrid.train` that say how a run is carried out; explained there."""

    request: EngineRequest
    seed: int | None = None
    resume: bool = False
    strict: bool = False
    accumulate: int = 1
    shard_optimizer: bool = False
    detect_anomaly: bool = False
    profile: Path | None = None
    restarts: int | None = None
    """How often an elastic run has been started anew; None for a run that is not elastic."""
