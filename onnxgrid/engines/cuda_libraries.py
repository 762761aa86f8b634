"""The CUDA 11.8 and cuDNN 8 libraries that ONNX Runtime's training build is linked against.

They come as wheels of their own and lie beside those of torch, which is built for a newer CUDA. ONNX Runtime looks for
them by name when a session starts; loaded before, by path, they are found.
"""

import ctypes
import functools
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

__all__ = ["CUDA_PROVIDER", "load_cuda_libraries", "why_ort_has_no_cuda"]

CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True)
class _Library:
    """A shared library and the wheel that holds it."""

    name: str
    distribution: str


LIBRARIES = (
    _Library("libcudart.so.11.0", "nvidia-cuda-runtime-cu11"),
    _Library("libcublasLt.so.11", "nvidia-cublas-cu11"),
    _Library("libcublas.so.11", "nvidia-cublas-cu11"),
    _Library("libcufft.so.10", "nvidia-cufft-cu11"),
    _Library("libcurand.so.10", "nvidia-curand-cu11"),
    _Library("libcudnn.so.8", "nvidia-cudnn-cu11"),
)
"""In the order in which they can be loaded: each needs some of those before it."""


def why_ort_has_no_cuda() -> str | None:
    """What keeps ONNX Runtime from using CUDA, or None; every missing wheel is named."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return (
            "the installed onnxruntime is a build for the CPU; "
            "uninstall onnxruntime-training-cpu and install 'onnxgrid[train-gpu]'"
        )
    missing = [library for library in LIBRARIES if _path_of(library) is None]
    if missing:
        wheels = " ".join(dict.fromkeys(library.distribution for library in missing))
        return f"{', '.join(library.name for library in missing)} not found (pip install {wheels})"
    return None


@functools.cache
def load_cuda_libraries() -> None:
    """Load them into the process, once, so that the sessions find them; `why_ort_has_no_cuda` said that all are there.

    Raises:
        OSError: if one cannot be loaded.
    """
    for library in LIBRARIES:
        path = _path_of(library)
        assert path is not None
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _path_of(library: _Library) -> Path | None:
    """Where the library lies: in its wheel's folder."""
    try:
        files = importlib.metadata.files(library.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == library.name]
    return next((path for path in paths if path.exists()), None)
