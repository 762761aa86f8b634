"""Cases of `onnxgrid.engines.torch_ops.numbers`."""

import numpy as np
from onnx import TensorProto, helper

from tests.onnxgrid.engines.op_cases.case import Case, X, integers, scalar

CASES = {
    "Shape": Case("Shape", (X,), differentiable=False),
    "Cast": Case("Cast", (X,), {"to": TensorProto.INT64}, differentiable=False),
    "Cast to a boolean": Case("Cast", (integers(0, 1, 2),), {"to": TensorProto.BOOL}, differentiable=False),
    "Dropout": Case("Dropout", (X, scalar(0.25))),
    "Identity": Case("Identity", (X,)),
    "Cast to half precision": Case("Cast", (X,), {"to": TensorProto.FLOAT16}, differentiable=False),
    "Cast to double precision": Case("Cast", (X,), {"to": TensorProto.DOUBLE}, differentiable=False),
    "Shape of some axes": Case("Shape", (X,), {"start": 1, "end": -1}, differentiable=False),
    "Size": Case("Size", (X,), differentiable=False),
    "ConstantOfShape": Case("ConstantOfShape", (integers(2, 3),), differentiable=False),
    "ConstantOfShape of a number": Case(
        "ConstantOfShape",
        (integers(2, 3),),
        {"value": helper.make_tensor("value", TensorProto.INT64, [1], [7])},
        differentiable=False,
    ),
    "Range": Case("Range", (np.array(2), np.array(11), np.array(3)), differentiable=False),
    "Range of floats": Case("Range", (scalar(2), scalar(-1), scalar(-0.75)), differentiable=False),
}
