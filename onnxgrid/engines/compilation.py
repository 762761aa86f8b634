"""Whether torch.compile can work here: it writes C++ for a CPU, and Triton's language for a GPU."""

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

import torch

from onnxgrid.errors import ConfigError

__all__ = ["require_compiler"]


def require_compiler(device: torch.device) -> None:
    """Nothing, if torch.compile finds what it needs for the device; else ConfigError, saying what is missing."""
    missing = _missing_for_cuda() if device.type == "cuda" else _missing_for_cpu()
    if missing is not None:
        problem, fix = missing
        raise ConfigError(f"torch.compile cannot work here: {problem}", place="compile", fix=fix)


def _missing_for_cuda() -> tuple[str, str] | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed", "Install triton, or leave --compile out."
    return None


def _missing_for_cpu() -> tuple[str, str] | None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler '{compiler}'", "Install g++ or set CXX, or leave --compile out."
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"there is no {header}", "Install Python's headers (python3-dev), or leave --compile out."
    return None
