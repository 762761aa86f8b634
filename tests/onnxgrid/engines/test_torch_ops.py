"""Each ONNX op in torch against ONNX Runtime, at opset 17."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from onnxgrid.engines.torch_ops import TORCH_OPS, bind_attributes, torch_op
from onnxgrid.errors import WorkFailed


@dataclass(frozen=True)
class Case:
    """A node: its op, its inputs by position (None is left out) and attributes."""

    op_type: str
    inputs: tuple[np.ndarray | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def scalar(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


X1, X, X3 = numbers(2, 4, 9), numbers(2, 4, 8, 11), numbers(2, 2, 5, 6, 7)
KERNEL, GROUPED, BIAS = numbers(6, 4, 3, 5), numbers(6, 2, 3, 3), numbers(6)
UP, UP_GROUPED = numbers(4, 6, 3, 5), numbers(4, 3, 3, 3)
CHANNEL = [numbers(4), numbers(4) + 1, numbers(4) - 1, numbers(4) ** 2]
ENLARGED = np.array([1, 1, 2, 3], dtype=np.float32)
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
MATRIX = numbers(3, 5)

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
    "Pad": Case("Pad", (X, integers(0, 0, 1, 2, 0, 0, 3, 0))),
    "Pad with a value": Case("Pad", (X, integers(0, 1, 0, 0, 0, 0, 0, 2), scalar(4))),
    "Slice": Case("Slice", (X, integers(1, -9), integers(-1, 2**31 - 1), integers(2, 3))),
    "Slice with steps, of the first axes": Case("Slice", (X, integers(0, 1), integers(2, 4), None, integers(1, 2))),
    "Split": Case("Split", (X, integers(1, 3)), {"axis": 1}, outputs=2),
    "Split in front": Case("Split", (MATRIX, integers(1, 1, 1)), outputs=3),
    "GlobalAveragePool": Case("GlobalAveragePool", (X,)),
    "GlobalAveragePool in 3D": Case("GlobalAveragePool", (X3,)),
    "Resize to the nearest": Case("Resize", (X, None, ENLARGED), NEAREST),
    "Resize to the nearest, by sizes": Case("Resize", (X, None, None, integers(2, 4, 24, 22)), NEAREST),
    "Resize linearly": Case("Resize", (X, None, ENLARGED), LINEAR),
    "Resize linearly in 1D": Case("Resize", (X1, None, np.array([1, 1, 2], dtype=np.float32)), LINEAR),
    "BatchNormalization": Case("BatchNormalization", (X, *CHANNEL), {"epsilon": 0.01}),
    "BatchNormalization in training": Case(
        "BatchNormalization", (X, *CHANNEL), {"epsilon": 0.01, "momentum": 0.7, "training_mode": 1}, outputs=3
    ),
    "BatchNormalization in training, of constants": Case(
        "BatchNormalization", (np.full_like(X, 3), *CHANNEL), {"momentum": 0.7, "training_mode": 1}, outputs=3
    ),
    "InstanceNormalization": Case("InstanceNormalization", (X, *CHANNEL[:2]), {"epsilon": 0.01}),
    "LayerNormalization": Case("LayerNormalization", (X, numbers(11), numbers(11) + 1), {"epsilon": 0.01}),
    "LayerNormalization over several axes": Case("LayerNormalization", (X, numbers(8, 11)), {"axis": -2}),
    "Gemm": Case("Gemm", (MATRIX, numbers(5, 4), numbers(4))),
    "Gemm without c": Case("Gemm", (MATRIX, numbers(5, 4)), {"alpha": 2.0}),
    "Gemm transposed": Case(
        "Gemm", (numbers(5, 3), numbers(4, 5), numbers(3, 1)), {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}
    ),
    "Concat": Case("Concat", (X, X[:, :1], X + 1), {"axis": 1}),
    "Concat along the last axis": Case("Concat", (X, X[..., :2]), {"axis": -1}),
    "Transpose": Case("Transpose", (X,), {"perm": [0, 2, 3, 1]}),
    "Transpose reversing": Case("Transpose", (X,)),
    "Flatten": Case("Flatten", (X,)),
    "Flatten at 0": Case("Flatten", (X,), {"axis": 0}),
    "Flatten from behind": Case("Flatten", (X,), {"axis": -1}),
    "Reshape": Case("Reshape", (X, integers(0, -1, 11))),
    "Reshape with allowzero": Case("Reshape", (X[:0], integers(0, 3)), {"allowzero": 1}),
    "Squeeze": Case("Squeeze", (X[:1, :, :1], integers(-2, 0))),
    "Squeeze everything": Case("Squeeze", (X[:1, :, :1],)),
    "Unsqueeze": Case("Unsqueeze", (MATRIX, integers(-1, 0))),
    "ReduceMean": Case("ReduceMean", (X,), {"axes": [-1, 1], "keepdims": 0}),
    "ReduceMean of everything": Case("ReduceMean", (X,)),
    "ReduceL2": Case("ReduceL2", (X,), {"axes": [-1, 1], "keepdims": 0}),
    "ReduceL2 of everything": Case("ReduceL2", (X,)),
    "Expand": Case("Expand", (X[:, :1], integers(4, 1, 11))),
    "Shape": Case("Shape", (X,)),
    "Cast": Case("Cast", (X,), {"to": TensorProto.INT64}),
    "Cast to a boolean": Case("Cast", (integers(0, 1, 2),), {"to": TensorProto.BOOL}),
    "Gather": Case("Gather", (MATRIX, integers(2, 0, -1))),
    "Gather of columns, by a matrix": Case("Gather", (X, integers(1, 0, 1, 3).reshape(2, 2)), {"axis": -3}),
    "Einsum": Case("Einsum", (numbers(2, 3, 4), numbers(2, 5, 4)), {"equation": "nab,ncb->nac"}),
    "Max": Case("Max", (X, X[:1] + 0.1, scalar(0))),
    "Min": Case("Min", (X, X[:1] + 0.1, scalar(0))),
    "Sum": Case("Sum", (X, X[:1], scalar(3))),
    "Mean": Case("Mean", (X, X[:1], scalar(3))),
    "Clip": Case("Clip", (X, scalar(-0.5), scalar(0.25))),
    "Clip from above": Case("Clip", (X, None, scalar(0.25))),
    "Clip from below": Case("Clip", (X, scalar(-0.5))),
    "Clip nothing": Case("Clip", (X,)),
    "LeakyRelu": Case("LeakyRelu", (X,)),
    "LeakyRelu with alpha": Case("LeakyRelu", (X,), {"alpha": 0.3}),
    "PRelu": Case("PRelu", (X, CHANNEL[0].reshape(4, 1, 1))),
    "Elu": Case("Elu", (X,)),
    "Elu with alpha": Case("Elu", (X,), {"alpha": 0.3}),
    "Celu": Case("Celu", (X,)),
    "Celu with alpha": Case("Celu", (X,), {"alpha": 0.3}),
    "Selu": Case("Selu", (X,)),
    "Selu with other slopes": Case("Selu", (X,), {"alpha": 0.3, "gamma": 2.0}),
    "HardSigmoid": Case("HardSigmoid", (3 * X,)),
    "HardSigmoid with another slope": Case("HardSigmoid", (3 * X,), {"alpha": 0.5, "beta": 0.25}),
    "ThresholdedRelu": Case("ThresholdedRelu", (X,)),
    "ThresholdedRelu with alpha": Case("ThresholdedRelu", (X,), {"alpha": 0.3}),
    "Shrink": Case("Shrink", (X,)),
    "Shrink with a bias": Case("Shrink", (X,), {"lambd": 0.3, "bias": 0.2}),
    "Erf": Case("Erf", (X,)),
    "Exp": Case("Exp", (X,)),
    "HardSwish": Case("HardSwish", (3 * X,)),
    "Neg": Case("Neg", (X,)),
    "Softplus": Case("Softplus", (9 * X,)),
    "Softsign": Case("Softsign", (X,)),
    "Sqrt": Case("Sqrt", (X * X,)),
    "Softmax": Case("Softmax", (X,)),
    "Softmax of channels": Case("Softmax", (X,), {"axis": 1}),
    "LogSoftmax": Case("LogSoftmax", (X,)),
    "LogSoftmax of channels": Case("LogSoftmax", (X,), {"axis": 1}),
    "Dropout": Case("Dropout", (X, scalar(0.25))),
    "Relu": Case("Relu", (X,)),
    "Sigmoid": Case("Sigmoid", (X,)),
    "Tanh": Case("Tanh", (X,)),
    "Add": Case("Add", (X, X[:1, :, :1])),
    "Sub": Case("Sub", (X, X[0, 0])),
    "Mul": Case("Mul", (X, scalar(3))),
    "Div": Case("Div", (X, X + 9)),
    "MatMul": Case("MatMul", (X, numbers(11, 3))),
    "Where": Case("Where", (X > 0, X, scalar(7))),
    "Greater": Case("Greater", (X, scalar(0.1))),
    "Less": Case("Less", (X, scalar(0.1))),
    "GreaterOrEqual": Case("GreaterOrEqual", (X, scalar(0.1))),
    "Identity": Case("Identity", (X,)),
}


def by_onnx(case: Case) -> list[np.ndarray]:
    given = {f"x{i}": value for i, value in enumerate(case.inputs) if value is not None}
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(case.inputs)]
    outputs = [f"y{i}" for i in range(case.outputs)]
    kind = TensorProto.BOOL if case.op_type in ("Greater", "GreaterOrEqual", "Less") else TensorProto.FLOAT
    kind = TensorProto.INT64 if case.op_type == "Shape" else case.attributes.get("to", kind)
    graph = helper.make_graph(
        [helper.make_node(case.op_type, names, outputs, **case.attributes)],
        "one node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in given.items()
        ],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if (
        case.op_type == "BatchNormalization" and case.outputs > 1
    ):  # ONNX Runtime's own kernel for batch statistics differs: it takes the sample variance
        return ReferenceEvaluator(model).run(None, given)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_op_in_torch_equals_the_op_in_onnx(case: Case) -> None:
    tensors = [None if value is None else torch.from_numpy(value) for value in case.inputs]
    given = bind_attributes("", case.op_type, case.attributes)(*tensors)
    ours = given if isinstance(given, tuple) else (given,)
    for mine, expected in zip(ours, by_onnx(case), strict=True):
        assert mine.numpy().dtype == expected.dtype
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-4, atol=1e-5, strict=True)


def test_every_op_has_a_case() -> None:
    assert {("", case.op_type) for case in CASES.values()} == set(TORCH_OPS)


def test_resize_refuses_other_modes() -> None:
    with pytest.raises(TypeError) as caught:
        bind_attributes("", "Resize", {"mode": "cubic"})
    assert str(caught.value) == (
        "Resize is cubic with half_pixel and round_prefer_floor; "
        "known are nearest with asymmetric and floor, linear with half_pixel"
    )


def test_resize_refuses_factors_that_are_not_whole() -> None:
    resize = bind_attributes("", "Resize", {"mode": "linear"})
    with pytest.raises(WorkFailed) as caught:
        resize(torch.zeros(1, 1, 4, 6), None, torch.tensor([1, 1, 1.5, 2]))
    assert str(caught.value) == (
        "A Resize from [4, 6] to [6.0, 12.0] is not by whole factors: training does not know it.\n"
        "  Use whole factors in the network."
    )


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(TypeError) as caught:
        bind_attributes("", "Softmax", {"axis": 1, "temperature": 2.0})
    assert str(caught.value) == "Softmax has attributes ['temperature']; known are ['axis']"


def test_an_op_has_one_owner() -> None:
    with pytest.raises(ValueError, match="already") as caught:
        torch_op("Conv")(torch.relu)
    assert str(caught.value) == "::Conv is already conv"
