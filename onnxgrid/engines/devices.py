"""Which device an engine computes on, and what keeps it from using CUDA."""

import logging
from pathlib import Path

import torch

from onnxgrid.errors import WorkFailed

__all__ = ["choose_device", "device_name"]

logger = logging.getLogger(__name__)

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""There on Linux if a driver of NVIDIA is loaded."""


def choose_device(engine: str, wanted: str) -> str:
    """The device, as torch names it, that an engine gets for "auto", "cpu" or "cuda".

    "auto" is CUDA where the engine can use it, else the CPU; a warning says why where a GPU is left unused.

    Raises:
        WorkFailed: for "cuda", with the reason why the engine cannot use it.
    """
    if wanted == "cpu":
        return "cpu"
    reason = _why_no_cuda(engine)
    if reason is None:
        return "cuda"
    if wanted == "cuda":
        raise WorkFailed(
            f"The {engine} engine cannot use CUDA: {reason}.",
            fix="Install what is missing, or use --device cpu.",
        )
    if torch.cuda.is_available() or NVIDIA_DRIVER.exists():
        logger.warning("there is a GPU, but the %s engine cannot use it: %s; computing on the CPU.", engine, reason)
    return "cpu"


def device_name(device: str) -> str:
    """What the log calls a device: "CPU", or the GPU by its product name."""
    return "CPU" if device == "cpu" else f"GPU: {torch.cuda.get_device_name(torch.device(device))}"


def _why_no_cuda(engine: str) -> str | None:
    if torch.version.cuda is None:
        return f"the installed torch {torch.__version__} is a build without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if engine == "ort":
        from onnxgrid.engines.cuda_libraries import why_ort_has_no_cuda

        return why_ort_has_no_cuda()
    return None
