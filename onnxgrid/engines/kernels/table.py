"""The table of kernels."""

from collections.abc import Callable

import torch

__all__ = ["KERNELS", "Kernel", "kernel"]

Kernel = Callable[..., tuple[torch.Tensor, ...]]

KERNELS: dict[str, Kernel] = {}


def kernel(function: Kernel) -> Kernel:
    """Register a function under its own name."""
    if KERNELS.setdefault(function.__name__, function) is not function:
        raise ValueError(f"there is a kernel {function.__name__} already")
    return function
