"""How an engine's kernels are to be chosen: what the command line and checkpoints know of it, without any engine."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DEFAULT_KERNELS", "KernelChoice", "KernelOptions"]


class KernelChoice(enum.Enum):
    """What computes an op that can be computed in several ways."""

    AUTO = "auto"
    """What is fastest here: each is timed, once more if the machine was busy, and the times are kept in a file."""
    NATIVE = "native"
    """ONNX Runtime's own kernel where it has one."""
    ATEN = "aten"
    """torch's kernel where it has one."""


@dataclass(frozen=True)
class KernelOptions:
    """How kernels are chosen."""

    choice: KernelChoice = KernelChoice.AUTO
    decided: Mapping[str, str] = field(default_factory=dict)
    """{site: candidate}, `kernels` of the engine to go on from: what it took is taken again."""
    times: Path | None = None
    """The file that remembers how long kernels take; by default the one in the user's cache folder."""


DEFAULT_KERNELS = KernelOptions()
