"""Which max poolings torch's kernels for 2D and 3D compute, forward and backward."""

from typing import Any

import onnx_ir as ir

__all__ = ["max_pool_arguments"]


def max_pool_arguments(node: ir.Node) -> dict[str, Any] | None:
    """What ATen's pooling wants to know, or None if it cannot compute the node."""
    kernel = list(node.attributes.get_ints("kernel_shape", []))
    rank = len(kernel)
    pads = list(node.attributes.get_ints("pads", [0] * 2 * rank))
    padding = pads[:rank]
    if (
        rank not in (2, 3)
        or padding != pads[rank:]
        or any(2 * p > k for p, k in zip(padding, kernel, strict=True))
        or node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
        or node.attributes.get_int("ceil_mode", 0) != 0
        or node.attributes.get_int("storage_order", 0) != 0
    ):
        return None
    return {
        "kernel": kernel,
        "stride": list(node.attributes.get_ints("strides", [1] * rank)),
        "padding": padding,
        "dilation": list(node.attributes.get_ints("dilations", [1] * rank)),
    }
