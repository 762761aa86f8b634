"""Cases of `onnxgrid.engines.torch_ops.convolution`."""

from tests.onnxgrid.engines.op_cases.case import X1, X3, Case, X, numbers

KERNEL, GROUPED, BIAS = numbers(6, 4, 3, 5), numbers(6, 2, 3, 3), numbers(6)
UP, UP_GROUPED = numbers(4, 6, 3, 5), numbers(4, 3, 3, 3)

CASES = {
    "Conv": Case("Conv", (X, KERNEL, BIAS)),
    "Conv without bias": Case("Conv", (X, KERNEL)),
    "Conv with strides and dilations": Case(
        "Conv",
        (X, KERNEL, BIAS),
        {"strides": [2, 3], "dilations": [2, 1], "pads": [1, 2, 1, 2], "kernel_shape": [3, 5]},
    ),
    "Conv with asymmetric pads": Case("Conv", (X, KERNEL, BIAS), {"pads": [0, 1, 2, 3]}),
    "Conv in groups": Case("Conv", (X, GROUPED, BIAS), {"group": 2}),
    "Conv with SAME_UPPER": Case("Conv", (X, KERNEL), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "Conv with SAME_LOWER": Case("Conv", (X, KERNEL), {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    "Conv with VALID": Case("Conv", (X, KERNEL), {"auto_pad": "VALID"}),
    "Conv in 1D": Case("Conv", (X1, numbers(3, 4, 3)), {"pads": [1, 0]}),
    "Conv in 3D": Case("Conv", (X3, numbers(3, 2, 2, 3, 2)), {"pads": [0, 1, 0, 1, 1, 0]}),
    "ConvTranspose": Case("ConvTranspose", (X, UP, BIAS)),
    "ConvTranspose with strides": Case("ConvTranspose", (X, UP), {"strides": [2, 3], "pads": [1, 2, 1, 2]}),
    "ConvTranspose with asymmetric pads": Case(
        "ConvTranspose", (X, UP, BIAS), {"strides": [2, 2], "pads": [0, 1, 1, 2], "output_padding": [1, 0]}
    ),
    "ConvTranspose with dilations": Case("ConvTranspose", (X, UP), {"dilations": [2, 3], "kernel_shape": [3, 5]}),
    "ConvTranspose in groups": Case("ConvTranspose", (X, UP_GROUPED), {"group": 2}),
    "ConvTranspose in 1D": Case("ConvTranspose", (X1, numbers(4, 2, 3)), {"strides": [2], "pads": [1, 0]}),
    "ConvTranspose in 3D": Case("ConvTranspose", (X3, numbers(2, 3, 2, 3, 2)), {"pads": [1, 1, 0, 0, 1, 1]}),
    "ConvTranspose with SAME_UPPER": Case("ConvTranspose", (X, UP), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "ConvTranspose with SAME_LOWER": Case("ConvTranspose", (X, UP), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "ConvTranspose to a shape": Case("ConvTranspose", (X, UP), {"output_shape": [16, 23], "strides": [2, 2]}),
    "ConvTranspose to a larger shape": Case(
        "ConvTranspose", (X, UP[..., :3]), {"output_shape": [18, 24], "strides": [2, 2]}
    ),
}
