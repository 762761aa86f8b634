"""ONNX ops in torch: one function per op, grouped by family. The torch engine runs networks with them; the ort engine
takes missing gradients from them. Importing this package fills `table.TORCH_OPS`.
"""

from onnxgrid.engines.torch_ops import (
    activation,
    arithmetic,
    convolution,
    normalization,
    numbers,
    pooling,
    reduction,
    resampling,
    shape,
)
from onnxgrid.engines.torch_ops.table import (
    HOST_INPUTS,
    SEVERAL_OUTPUTS,
    TORCH_OPS,
    TorchFunction,
    bind_attributes,
    torch_op,
)

__all__ = [
    "HOST_INPUTS",
    "SEVERAL_OUTPUTS",
    "TORCH_OPS",
    "TorchFunction",
    "activation",
    "arithmetic",
    "bind_attributes",
    "convolution",
    "normalization",
    "numbers",
    "pooling",
    "reduction",
    "resampling",
    "shape",
    "torch_op",
]
