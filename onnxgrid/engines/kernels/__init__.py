"""Functions that ATen nodes of a training graph run: `KERNELS[operator](*tensors, **arguments)` gives the node's
outputs.

The torch engine calls them directly; the ort engine through `onnxgrid.engines.aten_bridge`.
"""

from onnxgrid.engines.kernels import (  # noqa: F401 (imported for what they register)
    activation,
    autograd,
    convolution,
    layout,
    normalization,
    pooling,
    synchronized_norm,
)
from onnxgrid.engines.kernels.random import dropout_mask
from onnxgrid.engines.kernels.table import KERNELS

__all__ = ["KERNELS", "dropout_mask"]
