"""Cases of `onnxgrid.engines.torch_ops.pooling`."""

from tests.onnxgrid.engines.op_cases.case import X1, X3, Case, X

CASES = {
    "MaxPool": Case("MaxPool", (X,), {"kernel_shape": [2, 3]}),
    "MaxPool with strides and dilations": Case(
        "MaxPool", (X,), {"kernel_shape": [2, 3], "strides": [2, 1], "dilations": [2, 3]}
    ),
    "MaxPool with asymmetric pads": Case(
        "MaxPool", (X - 9,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 2, 1]}
    ),
    "MaxPool with more padding than half a window": Case(
        "MaxPool", (X - 9,), {"kernel_shape": [3, 3], "pads": [2, 2, 2, 2]}
    ),
    "MaxPool rounding up": Case("MaxPool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    "MaxPool with SAME_UPPER": Case(
        "MaxPool", (X - 9,), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    ),
    "MaxPool with SAME_LOWER": Case(
        "MaxPool", (X - 9,), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}
    ),
    "MaxPool in 1D": Case("MaxPool", (X1,), {"kernel_shape": [2], "strides": [2]}),
    "MaxPool in 3D": Case("MaxPool", (X3,), {"kernel_shape": [2, 2, 3], "strides": [2, 1, 2]}),
    "AveragePool": Case("AveragePool", (X,), {"kernel_shape": [2, 3]}),
    "AveragePool with pads": Case(
        "AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 1, 1]}
    ),
    "AveragePool with asymmetric pads": Case(
        "AveragePool", (X,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 2, 1]}
    ),
    "AveragePool counting the padding": Case(
        "AveragePool", (X,), {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "count_include_pad": 1}
    ),
    "AveragePool with SAME_UPPER": Case(
        "AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    ),
    "AveragePool in 1D": Case("AveragePool", (X1,), {"kernel_shape": [2], "strides": [2]}),
    "AveragePool in 3D": Case("AveragePool", (X3,), {"kernel_shape": [2, 2, 3], "pads": [1, 0, 1, 0, 1, 1]}),
    "GlobalMaxPool": Case("GlobalMaxPool", (X,)),
    "GlobalMaxPool in 3D": Case("GlobalMaxPool", (X3,)),
    "GlobalAveragePool": Case("GlobalAveragePool", (X,)),
    "GlobalAveragePool in 3D": Case("GlobalAveragePool", (X3,)),
    "AveragePool rounding up": Case("AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [3, 2], "ceil_mode": 1}),
    "AveragePool rounding up behind asymmetric pads": Case(
        "AveragePool", (X,), {"kernel_shape": [3, 3], "strides": [3, 2], "pads": [1, 0, 0, 1], "ceil_mode": 1}
    ),
}
