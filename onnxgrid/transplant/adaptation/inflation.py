"""Kernels of images for volumes and videos."""

from functools import partial

import numpy as np

from onnxgrid.transplant.adaptation.kernels import is_kernel
from onnxgrid.transplant.adaptation.rule import Array, ReadTarget, Slot, Step, adaptation_rule

__all__ = ["inflate"]


@adaptation_rule("inflate")
def inflate(now: Slot, target: Slot) -> Step | None:
    """Repeat a kernel along a new first axis (2D: height, width; 3D: depth, height, width), and divide by its size.

    Preserved: of an input that is the same at every depth, the output is that of the kernel before, wherever the
    kernel does not reach beyond the border. Carreira, Zisserman: "Quo vadis, action recognition?", 2017, section 2.4
    (arXiv 1705.07750).
    """
    if len(now.shape) + 1 != len(target.shape) or not is_kernel(target) or not is_kernel(now):
        return None
    depth = target.shape[2]
    if depth == 0:
        return None
    shape = (*now.shape[:2], depth, *now.shape[2:])
    return Step("inflate", shape, f"kernel {now.shape[2:]} -> {shape[2:]}", partial(_repeat, depth=depth))


def _repeat(values: Array, _read_target: ReadTarget, *, depth: int) -> Array:
    repeated: Array = np.repeat(values[:, :, np.newaxis], depth, axis=2) / values.dtype.type(depth)
    return repeated
