"""How an engine computes: where, in which precision, compiled or not. Plain values, known without any framework."""

from dataclasses import dataclass

from onnxgrid.engines.kernel_options import KernelChoice

__all__ = ["DEFAULT_OPTIONS", "DEVICES", "PRECISIONS", "EngineOptions", "EngineRequest"]

DEVICES = ("auto", "cpu", "cuda")
"""What a run can be asked for; "auto" is CUDA where the engine can use it, else the CPU."""

PRECISIONS = ("fp32", "bf16")
"""bf16: convolutions and matrix products in bfloat16; weights, gradients, statistics and the loss in float32."""


@dataclass(frozen=True)
class EngineOptions:
    """The defaults are what every engine can do everywhere.

    Args:
        device: a device as torch names it: "cpu", "cuda", "cuda:1".
        precision: one of `PRECISIONS`.
        compile: whether torch.compile turns the steps into machine code of their own.
    """

    device: str = "cpu"
    precision: str = "fp32"
    compile: bool = False


DEFAULT_OPTIONS = EngineOptions()


@dataclass(frozen=True)
class EngineRequest:
    """What a run is asked to compute with; None is what the run was begun with, or the default.

    Args:
        engine: one of `onnxgrid.engines.ENGINES`.
        device: one of `DEVICES`.
        precision: one of `PRECISIONS`.
        kernel_choice: how the ort engine chooses its kernels.
    """

    engine: str | None = None
    device: str = "auto"
    precision: str | None = None
    compile: bool | None = None
    kernel_choice: KernelChoice | None = None
