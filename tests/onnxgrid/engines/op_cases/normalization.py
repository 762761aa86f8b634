"""Cases of `onnxgrid.engines.torch_ops.normalization`."""

import numpy as np

from tests.onnxgrid.engines.op_cases.case import CHANNEL, Case, X, numbers

CASES = {
    "BatchNormalization": Case("BatchNormalization", (X, *CHANNEL), {"epsilon": 0.01}),
    "BatchNormalization in training": Case(
        "BatchNormalization",
        (X, *CHANNEL),
        {"epsilon": 0.01, "momentum": 0.7, "training_mode": 1},
        outputs=3,
        in_runtime=False,
    ),
    "BatchNormalization in training, of constants": Case(
        "BatchNormalization",
        (np.full_like(X, 3), *CHANNEL),
        {"momentum": 0.7, "training_mode": 1},
        outputs=3,
        in_runtime=False,
    ),
    "InstanceNormalization": Case("InstanceNormalization", (X, *CHANNEL[:2]), {"epsilon": 0.01}),
    "LayerNormalization": Case("LayerNormalization", (X, numbers(11), numbers(11) + 1), {"epsilon": 0.01}),
    "LayerNormalization over several axes": Case("LayerNormalization", (X, numbers(8, 11)), {"axis": -2}),
    "GroupNormalization": Case("GroupNormalization", (X, *CHANNEL[:2]), {"num_groups": 2, "epsilon": 0.01}, opset=21),
    "LpNormalization": Case("LpNormalization", (X,)),
    "LpNormalization by the sum": Case("LpNormalization", (X,), {"axis": 1, "p": 1}),
    "LRN": Case("LRN", (X,), {"size": 3, "alpha": 0.1, "beta": 0.5, "bias": 2.0}),
    "MeanVarianceNormalization": Case("MeanVarianceNormalization", (X,)),
    "MeanVarianceNormalization of some axes": Case("MeanVarianceNormalization", (X,), {"axes": [0, 1, 2, 3]}),
}
