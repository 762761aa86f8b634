"""Cases of `onnxgrid.engines.torch_ops.shape`."""

import numpy as np

from tests.onnxgrid.engines.op_cases.case import MATRIX, Case, X, integers, numbers, scalar

CASES = {
    "Pad": Case("Pad", (X, integers(0, 0, 1, 2, 0, 0, 3, 0))),
    "Pad with a value": Case("Pad", (X, integers(0, 1, 0, 0, 0, 0, 0, 2), scalar(4))),
    "Slice": Case("Slice", (X, integers(1, -9), integers(-1, 2**31 - 1), integers(2, 3))),
    "Slice with steps, of the first axes": Case("Slice", (X, integers(0, 1), integers(2, 4), None, integers(1, 2))),
    "Split": Case("Split", (X, integers(1, 3)), {"axis": 1}, outputs=2),
    "Split in front": Case("Split", (MATRIX, integers(1, 1, 1)), outputs=3),
    "Concat": Case("Concat", (X, X[:, :1], X + 1), {"axis": 1}),
    "Concat along the last axis": Case("Concat", (X, X[..., :2]), {"axis": -1}),
    "Transpose": Case("Transpose", (X,), {"perm": [0, 2, 3, 1]}),
    "Transpose reversing": Case("Transpose", (X,)),
    "Flatten": Case("Flatten", (X,)),
    "Flatten at 0": Case("Flatten", (X,), {"axis": 0}),
    "Flatten from behind": Case("Flatten", (X,), {"axis": -1}),
    "Reshape": Case("Reshape", (X, integers(0, -1, 11))),
    "Reshape with allowzero": Case("Reshape", (X[:0], integers(0, 3)), {"allowzero": 1}, differentiable=False),
    "Squeeze": Case("Squeeze", (X[:1, :, :1], integers(-2, 0))),
    "Squeeze everything": Case("Squeeze", (X[:1, :, :1],)),
    "Unsqueeze": Case("Unsqueeze", (MATRIX, integers(-1, 0))),
    "Expand": Case("Expand", (X[:, :1], integers(4, 1, 11))),
    "Gather": Case("Gather", (MATRIX, integers(2, 0, -1))),
    "Gather of columns, by a matrix": Case("Gather", (X, integers(1, 0, 1, 3).reshape(2, 2)), {"axis": -3}),
    "Pad mirroring": Case("Pad", (X, integers(0, 0, 1, 2, 0, 0, 3, 0)), {"mode": "reflect"}),
    "Pad mirroring other axes": Case("Pad", (X, integers(1, 2, 0, 0, 0, 1, 0, 0)), {"mode": "reflect"}),
    "Pad repeating the edge": Case("Pad", (X, integers(1, 0, 1, 2, 0, 2, 3, 0)), {"mode": "edge"}),
    "Pad from the other end": Case("Pad", (X, integers(0, 0, 1, 2, 0, 0, 3, 0)), {"mode": "wrap"}, opset=19),
    "Pad cutting off": Case("Pad", (X, integers(0, 0, -1, 2, 0, -1, 3, 0))),
    "Pad of some axes": Case("Pad", (X, integers(1, 2, 3, 0), scalar(2), integers(-1, 2)), opset=18),
    "Slice backwards": Case("Slice", (X, integers(-1, 5), integers(-(2**31), 1), integers(2, 3), integers(-1, -2))),
    "Slice of nothing backwards": Case(
        "Slice", (X, integers(1), integers(5), integers(3), integers(-1)), differentiable=False
    ),
    "Split alike": Case("Split", (X,), {"axis": 2, "num_outputs": 3}, outputs=3, opset=18),
    "Tile": Case("Tile", (X, integers(1, 2, 3, 1))),
    "DepthToSpace": Case("DepthToSpace", (numbers(2, 12, 3, 5),), {"blocksize": 2}),
    "DepthToSpace, channels of a cell together": Case(
        "DepthToSpace", (numbers(2, 12, 3, 5),), {"blocksize": 2, "mode": "CRD"}
    ),
    "SpaceToDepth": Case("SpaceToDepth", (numbers(2, 3, 4, 6),), {"blocksize": 2}),
    "Gather of one number": Case("Gather", (MATRIX[0], np.array(1))),
    "GatherElements": Case("GatherElements", (MATRIX, integers(2, 0, -1, 1).reshape(2, 2))),
    "GatherElements of columns": Case("GatherElements", (MATRIX, integers(4, 0, -1).reshape(3, 1)), {"axis": 1}),
    "GatherND": Case("GatherND", (X, integers(0, 1, 1, -1).reshape(2, 2))),
    "GatherND by sample": Case("GatherND", (X, integers(3, 2, 0, 1).reshape(2, 1, 2)), {"batch_dims": 1}),
}
