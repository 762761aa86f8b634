"""Each ONNX op in torch: its values against ONNX Runtime, its gradients against finite differences in double precision,
and those that the ort engine gets against the torch engine.
"""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnxgrid.engines import create_engine
from onnxgrid.engines.torch_ops import HOST_INPUTS, TORCH_OPS, bind_attributes, torch_op
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.op_cases import CASES, Case

DIFFERENTIABLE = {name: case for name, case in CASES.items() if case.differentiable}
TRAINED = {name: case for name, case in DIFFERENTIABLE.items() if case.in_runtime}

PROBE = 0.5
"""What a parameter adds to the input of the op, and what is taken off it before."""


def model_of(case: Case, *, fixed: bool = False, before: str = "") -> onnx.ModelProto:
    """A model of the one node; its inputs are the graph's, or with `fixed` all but the first float are initializers.

    Args:
        before: the op type of a node in front of that input, which adds, for one, the parameter "probe.weight" to it.
    """
    given = {f"x{i}": value for i, value in enumerate(case.inputs) if value is not None}
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(case.inputs)]
    outputs = [f"y{i}" for i in range(case.outputs)]
    free = [free_input(case)] if fixed else list(given)
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in given.items() if name not in free]
    nodes = []
    if before:
        (x,) = free
        nodes.append(helper.make_node(before, [x, "probe.weight"], ["probed"], "probe"))
        weights.append(onnx.numpy_helper.from_array(PROBE * np.ones_like(given[x]), "probe.weight"))
        names = ["probed" if name == x else name for name in names]
    nodes.append(helper.make_node(case.op_type, names, outputs, "tested", **case.attributes))
    graph = helper.make_graph(
        nodes,
        "one node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), given[name].shape)
            for name in free
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        weights,
    )
    opsets = [helper.make_opsetid("", case.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9 if case.opset < 21 else 10)
    return onnx.shape_inference.infer_shapes(model)


def free_input(case: Case) -> str:
    """The first input that is neither a number nor a condition."""
    numbers = HOST_INPUTS.get(("", case.op_type), frozenset())
    floats = [i for i, value in enumerate(case.inputs) if value is not None and value.dtype == np.float32]
    return f"x{next((i for i in floats if i not in numbers), 0)}"


def by_onnx(case: Case) -> list[np.ndarray]:
    given = {f"x{i}": value for i, value in enumerate(case.inputs) if value is not None}
    model = model_of(case)
    if not case.in_runtime:
        return ReferenceEvaluator(model).run(None, given)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)


@pytest.mark.parametrize("fixed", [False, True], ids=["of inputs", "of constants"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_op_in_torch_equals_the_op_in_onnx(case: Case, fixed: bool) -> None:
    model = ir.from_proto(model_of(case, fixed=fixed))
    program = TorchProgram(model, model.graph.outputs, [], torch.device("cpu"), "net.onnx")
    given = {f"x{i}": torch.from_numpy(value) for i, value in enumerate(case.inputs) if value is not None}
    ours = program({str(value.name): given[str(value.name)] for value in model.graph.inputs})
    for mine, expected in zip(ours, by_onnx(case), strict=True):
        assert mine.numpy().dtype == expected.dtype
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-4, atol=1e-5, strict=True)


@pytest.mark.parametrize("case", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
def test_the_gradient_of_an_op_is_that_of_finite_differences(case: Case) -> None:
    numbers = HOST_INPUTS.get(("", case.op_type), frozenset())
    tensors = [None if value is None else torch.from_numpy(value) for value in case.inputs]
    leaves = [  # a number without an axis is part of a formula, not a weight
        i
        for i, tensor in enumerate(tensors)
        if tensor is not None and tensor.is_floating_point() and tensor.dim() and i not in numbers
    ]
    bound = bind_attributes("", case.op_type, case.attributes)

    def function(*floats: torch.Tensor) -> torch.Tensor:
        arguments = list(tensors)
        for i, tensor in zip(leaves, floats, strict=True):
            arguments[i] = tensor
        y = bound(*arguments)
        return y[0] if isinstance(y, tuple) else y

    given = [tensors[i].double().requires_grad_() for i in leaves]  # type: ignore[union-attr]
    if case.op_type == "BatchNormalization":
        given[3:] = [tensor.detach() for tensor in given[3:]]  # statistics, of which no gradient is asked
    assert torch.autograd.gradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("case", TRAINED.values(), ids=TRAINED)
def test_an_op_is_trained_on_both_engines_alike(case: Case) -> None:
    model = ir.from_proto(model_of(case, fixed=True, before="Add"))
    for output in list(model.graph.outputs[1:]):
        model.graph.outputs.remove(output)
    graph = TrainableGraph.from_model(model, "net.onnx")
    engines = [create_engine(name, graph, MeanSquaredError(), seed=0) for name in ("ort", "torch")]
    inputs = torch.from_numpy(case.inputs[int(free_input(case)[1:])]) - PROBE
    targets = torch.randn(engines[1].predict(inputs).shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = (engine.step(inputs, targets, number=0) for engine in engines)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=1e-4, atol=1e-5)
    for name, expected in engines[1].gradients.views.items():
        torch.testing.assert_close(engines[0].gradients.views[name], expected, rtol=1e-3, atol=1e-5)


def test_every_op_has_a_case() -> None:
    assert {("", case.op_type) for case in CASES.values()} == set(TORCH_OPS)


def test_resize_by_sizes_of_some_axes_leaves_the_others() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    resize = bind_attributes("", "Resize", {"mode": "linear", "axes": [-1, 2]})
    expected = F.interpolate(x, size=[8, 7], mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(x, None, None, torch.tensor([7, 8])), expected)


REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "coordinates": (
        "Resize",
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        "Resize has coordinate_transformation_mode tf_crop_and_resize; "
        "known are align_corners, asymmetric, half_pixel, half_pixel_symmetric, pytorch_half_pixel",
    ),
    "antialias": ("Resize", {"antialias": 1}, "Resize has antialias 1; known is 0"),
    "a policy": (
        "Resize",
        {"keep_aspect_ratio_policy": "not_larger"},
        "Resize has keep_aspect_ratio_policy not_larger; known is stretch",
    ),
    "a window's edge": (
        "AveragePool",
        {"kernel_shape": [2], "ceil_mode": 1, "count_include_pad": 1},
        "AveragePool has ceil_mode and count_include_pad; known is either alone",
    ),
    "a type": ("Cast", {"to": 8}, "Cast has to 8; known are 1, 2, 3, 5, 6, 7, 9, 10, 11, 16"),
    "a way to pad": ("Pad", {"mode": "symmetric"}, "Pad has mode symmetric; known are constant, edge, reflect, wrap"),
    "an even size": ("LRN", {"size": 4}, "LRN has size 4; known are odd sizes"),
}


@pytest.mark.parametrize(("op_type", "attributes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_an_op_cannot_do_is_refused(op_type: str, attributes: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        bind_attributes("", op_type, attributes)
    assert str(caught.value) == message


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(TypeError) as caught:
        bind_attributes("", "Softmax", {"axis": 1, "temperature": 2.0})
    assert str(caught.value) == "Softmax has attributes ['temperature']; known are ['axis']"


def test_an_op_has_one_owner() -> None:
    with pytest.raises(ValueError, match="already") as caught:
        torch_op("Conv")(torch.relu)
    assert str(caught.value) == "::Conv is already conv"
