"""ONNX ops in torch: one function per op, grouped by family. The torch engine runs networks with them; the ort engine
takes missing gradients from them. Importing this package fills `table.TORCH_OPS`.
"""

from onnxgrid.engines.torch_ops import (
    activation,
    arithmetic,
    convolution,
    normalization,
    pooling,
    reduction,
    resampling,
    shape,
)
from onnxgrid.engines.torch_ops.table import TORCH_OPS, TorchFunction, bind_attributes, torch_op

__all__ = [
    "TORCH_OPS",
    "TorchFunction",
    "activation",
    "arithmetic",
    "bind_attributes",
    "convolution",
    "normalization",
    "pooling",
    "reduction",
    "resampling",
    "shape",
    "torch_op",
]
