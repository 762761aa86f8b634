"""Cases of `onnxgrid.engines.torch_ops.arithmetic`."""

import numpy as np

from tests.onnxgrid.engines.op_cases.case import MATRIX, Case, X, integers, numbers, scalar

CASES = {
    "Gemm": Case("Gemm", (MATRIX, numbers(5, 4), numbers(4))),
    "Gemm without c": Case("Gemm", (MATRIX, numbers(5, 4)), {"alpha": 2.0}),
    "Gemm transposed": Case(
        "Gemm", (numbers(5, 3), numbers(4, 5), numbers(3, 1)), {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}
    ),
    "Einsum": Case("Einsum", (numbers(2, 3, 4), numbers(2, 5, 4)), {"equation": "nab,ncb->nac"}),
    "Max": Case("Max", (X, X[:1] + 0.1, scalar(0))),
    "Min": Case("Min", (X, X[:1] + 0.1, scalar(0))),
    "Sum": Case("Sum", (X, X[:1], scalar(3))),
    "Mean": Case("Mean", (X, X[:1], scalar(3))),
    "Neg": Case("Neg", (X,)),
    "Sqrt": Case("Sqrt", (X * X + 0.1,)),
    "Add": Case("Add", (X, X[:1, :, :1])),
    "Sub": Case("Sub", (X, X[0, 0])),
    "Mul": Case("Mul", (X, scalar(3))),
    "Div": Case("Div", (X, X + 9)),
    "MatMul": Case("MatMul", (X, numbers(11, 3))),
    "Where": Case("Where", (X > 0, X, scalar(7))),
    "Greater": Case("Greater", (X, scalar(0.1)), differentiable=False),
    "Less": Case("Less", (X, scalar(0.1)), differentiable=False),
    "GreaterOrEqual": Case("GreaterOrEqual", (X, scalar(0.1)), differentiable=False),
    "Abs": Case("Abs", (X,)),
    "Ceil": Case("Ceil", (X,)),
    "Cos": Case("Cos", (X,)),
    "Floor": Case("Floor", (X,)),
    "Log": Case("Log", (X * X + 0.1,)),
    "Reciprocal": Case("Reciprocal", (X * X + 0.5,)),
    "Round": Case("Round", (X,)),
    "Sign": Case("Sign", (X,)),
    "Sin": Case("Sin", (X,)),
    "Round to even": Case("Round", (np.array([-1.5, -0.5, 0.5, 1.5, 2.5], np.float32),), differentiable=False),
    "Pow": Case("Pow", (X * X + 0.1, X[:1])),
    "Pow by a number": Case("Pow", (X, scalar(2))),
    "Div of whole numbers": Case("Div", (integers(7, -7, 6), integers(2, 2, -4)), differentiable=False),
    "Mod": Case("Mod", (integers(7, -7, 6), integers(3, 3, -4)), differentiable=False),
    "Mod of floats": Case("Mod", (X, scalar(0.3)), {"fmod": 1}),
    "Equal": Case("Equal", (integers(1, 2, 3), integers(1, 3, 2)), differentiable=False),
    "LessOrEqual": Case("LessOrEqual", (integers(1, 2, 3), integers(1, 3, 2)), differentiable=False),
    "And": Case("And", (X > 0, X < 0.5), differentiable=False),
    "Or": Case("Or", (X > 0, X < 0.5), differentiable=False),
    "Xor": Case("Xor", (X > 0, X < 0.5), differentiable=False),
    "Not": Case("Not", (X > 0,), differentiable=False),
}
