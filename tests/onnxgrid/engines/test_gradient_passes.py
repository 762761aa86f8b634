"""The passes before the gradient builder, as ONNX text: before, after, and a second run that finds nothing."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from onnxgrid.engines.gradients.padding import make_padding_explicit
from onnxgrid.engines.gradients.placeholders import lacks_inputs
from onnxgrid.engines.gradients.torch_nodes import is_torch_node, run_in_torch
from onnxgrid.engines.kernels import dropout_mask
from onnxgrid.engines.training_mode import ATEN_DOMAIN, SEED_AND_STEP, UPDATED, enter_training_mode

HEADER = '<ir_version: 9, opset_import: ["" : 17]>\n'


def model_of(text: str) -> ir.Model:
    """The model of an ONNX text; each node is called after its output."""
    model = ir.from_proto(onnx.parser.parse_model(HEADER + text))
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def text_of(model: ir.Model) -> str:
    """The graph as ONNX text, without names and shapes of nodes and inner values."""
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        node.ClearField("name")
        del node.metadata_props[:]
    return onnx.printer.to_text(proto.graph)


def outputs_of(model: ir.Model, **inputs: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, inputs)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


SIGNATURE = "net (float[N, 2, 7, 6] x, float[{w}] w) => (float[N, 3, H, W] y)"

LAST = np.iinfo(np.int64).max
"""As the end of a slice: up to the last cell."""

PADDING_CASES: dict[str, tuple[str, str, str, int]] = {
    "a convolution with unequal pads": (
        "3, 2, 3, 3",
        "{ y = Conv <pads: ints = [0, 1, 2, 1], strides: ints = [2, 1]> (x, w) }",
        """<int64[8] "y/pads" =  {0,0,0,1,0,0,2,1}>
{
   val_0 = Pad <mode: string = "constant"> (x, "y/pads")
   y = Conv <pads: ints = [0, 0, 0, 0], strides: ints = [2, 1]> (val_0, w)
}""",
        1,
    ),
    "a transposed convolution with unequal pads": (
        "2, 3, 3, 3",
        "{ y = ConvTranspose <pads: ints = [0, 1, 2, 0], strides: ints = [2, 2]> (x, w) }",
        f"""<int64[2] "y/starts" =  {{0,1}}, int64[2] "y/ends" =  {{-2,{LAST}}}, int64[2] "y/axes" =  {{2,3}}>
{{
   "y/full" = ConvTranspose <pads: ints = [0, 0, 0, 0], strides: ints = [2, 2]> (x, w)
   y = Slice ("y/full", "y/starts", "y/ends", "y/axes")
}}""",
        1,
    ),
    "equal pads": (
        "3, 2, 3, 3",
        "{ y = Conv <pads: ints = [1, 0, 1, 0]> (x, w) }",
        "{\n   y = Conv <pads: ints = [1, 0, 1, 0]> (x, w)\n}",
        0,
    ),
    "no pads": ("3, 2, 3, 3", "{ y = Conv (x, w) }", "{\n   y = Conv (x, w)\n}", 0),
    "auto_pad": (
        "3, 2, 3, 3",
        '{ y = Conv <auto_pad: string = "SAME_UPPER"> (x, w) }',
        '{\n   y = Conv <auto_pad: string = "SAME_UPPER"> (x, w)\n}',
        0,
    ),
}


@pytest.mark.parametrize(("weight", "before", "after", "changed"), PADDING_CASES.values(), ids=PADDING_CASES)
def test_asymmetric_padding_becomes_nodes(weight: str, before: str, after: str, changed: int) -> None:
    model = model_of(SIGNATURE.format(w=weight) + before)
    inputs = {"x": random(2, 2, 7, 6), "w": random(*map(int, weight.split(",")))}
    expected = outputs_of(model, **inputs)
    assert make_padding_explicit(model) == changed
    assert body(text_of(model)) == after
    np.testing.assert_allclose(outputs_of(model, **inputs), expected, rtol=1e-5, atol=1e-6)
    assert make_padding_explicit(model) == 0


def body(text: str) -> str:
    """What follows the signature."""
    _, _, rest = text.partition("=> (")
    return rest.partition(")")[2].strip()


def test_the_crop_keeps_the_name_of_a_graph_output_and_of_an_inner_value() -> None:
    model = model_of("""net (float[N, 2, 7, 6] x, float[2, 2, 3, 3] w)
    => (float[N, 2, H, W] a, float[N, 2, H, W] y) {
        a = ConvTranspose <pads: ints = [0, 0, 1, 1]> (x, w)
        y = Relu (a)
    }""")
    inputs = {"x": random(1, 2, 7, 6), "w": random(2, 2, 3, 3)}
    expected = outputs_of(model, **inputs)
    assert make_padding_explicit(model) == 1
    assert [value.name for value in model.graph.outputs] == ["a", "y"]
    for ours, theirs in zip(outputs_of(model, **inputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


STEP_BACK = "<int64[1] start = {5}, int64[1] end = {1}, int64[1] axis = {3}, int64[1] step = {-2}>"
SIZES = "<int64[2] sizes = {1, 1}>"
TORCH_CASES: dict[str, tuple[str, dict[str, object] | None]] = {
    "a Pad that mirrors": (
        '<int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}> { y = Pad <mode: string = "reflect"> (x, pads) }',
        {"op_type": "Pad", "attributes": {"mode": "reflect"}, "positions": [0, 1]},
    ),
    "a Pad of a number": ("<int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}> { y = Pad (x, pads) }", None),
    "a Slice that goes backwards": (
        STEP_BACK + "{ y = Slice (x, start, end, axis, step) }",
        {"op_type": "Slice", "attributes": {}, "positions": [0, 1, 2, 3, 4]},
    ),
    "a Slice that goes forwards": (STEP_BACK.replace("-2", "2") + "{ y = Slice (x, start, end, axis, step) }", None),
    "a Split of which one part is used": (
        SIZES + "{ y, z = Split <axis: int = 1> (x, sizes) }",
        {"op_type": "Split", "attributes": {"axis": 1}, "positions": [0, 1]},
    ),
    "a Split of which all is used": (SIZES + "{ a, b = Split <axis: int = 1> (x, sizes) y = Add (a, b) }", None),
    "an op whose gradient asks for more inputs": (
        "<float[6] scale = {1, 2, 3, 4, 5, 6}> { y = LayerNormalization (x, scale) }",
        {"op_type": "LayerNormalization", "attributes": {}, "positions": [0, 1]},
    ),
    "an Einsum of three": (
        '{ y = Einsum <equation: string = "nchw,nchw,nchw->nchw"> (x, x, x) }',
        {"op_type": "Einsum", "attributes": {"equation": "nchw,nchw,nchw->nchw"}, "positions": [0, 1, 2]},
    ),
}


@pytest.mark.parametrize(("text", "arguments"), TORCH_CASES.values(), ids=TORCH_CASES)
def test_nodes_that_the_gradients_do_not_cover_run_in_torch(text: str, arguments: dict[str, object] | None) -> None:
    model = model_of("net (float[2, 2, 7, 6] x) => (float[A, B, C, D] y) " + text)
    before, count = text_of(model), len(model.graph)
    assert run_in_torch(model, lacks_inputs) == (0 if arguments is None else 1)
    if arguments is None:
        assert text_of(model) == before
        return
    (node,) = [node for node in model.graph if is_torch_node(node)]
    assert (node.name, node.outputs[0].name, len(model.graph)) == ("y", "y", count)
    assert json.loads(node.attributes["overload_name"].as_string()) == {**arguments, "used": [0]}
    assert model.graph.outputs[0] is node.outputs[0]
    assert run_in_torch(model, lacks_inputs) == 0


def test_a_transpose_gets_the_permutation_that_it_has_by_default() -> None:
    model = model_of("net (float[2, 3, 4] x) => (float[4, 3, 2] y) { y = Transpose (x) }")
    assert run_in_torch(model, lacks_inputs) == 0
    (node,) = model.graph
    assert list(node.attributes.get_ints("perm")) == [2, 1, 0]


NORMALIZED = """net (float[N, 2, 4, 3] x) => (float[N, 2, 4, 3] y)
<float[2] "n.weight" = {1, 2}, float[2] "n.bias" = {3, 4},
float[2] "n.running_mean" = {5, 6}, float[2] "n.running_var" = {7, 8}>
{ y = BatchNormalization <epsilon: float = 0.5, momentum: float = 0.75>
    (x, "n.weight", "n.bias", "n.running_mean", "n.running_var") }"""


def test_a_trained_normalization_uses_the_batch_and_gives_its_statistics() -> None:
    model = model_of(NORMALIZED)
    enter_training_mode(model, {"n.running_mean", "n.running_var"})
    (node,) = model.graph
    assert node.attributes["training_mode"].as_int() == 1
    assert [value.name for value in node.outputs] == ["y", f"{UPDATED}n.running_mean", f"{UPDATED}n.running_var"]
    assert list(model.graph.outputs) == list(node.outputs)
    before = text_of(model)
    assert [value.shape for value in model.graph.outputs[1:]] == [[2], [2]]
    x = random(5, 2, 4, 3)
    y, mean, variance = ReferenceEvaluator(ir.to_proto(model)).run(None, {"x": x})
    batch_mean, batch_variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    np.testing.assert_allclose(mean, 0.75 * np.array([5, 6]) + 0.25 * batch_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, 0.75 * np.array([7, 8]) + 0.25 * batch_variance, rtol=1e-5)
    normal = (x - batch_mean[:, None, None]) / np.sqrt(batch_variance + 0.5)[:, None, None]
    np.testing.assert_allclose(
        y, normal * np.array([1, 2])[:, None, None] + np.array([3, 4])[:, None, None], rtol=1e-4, atol=1e-5
    )
    assert text_of(model) == before


def test_a_frozen_normalization_becomes_the_affine_map_that_it_is() -> None:
    model = model_of(NORMALIZED)
    x = random(5, 2, 4, 3)
    expected = outputs_of(model_of(NORMALIZED), x=x)
    enter_training_mode(model, set())
    assert [(node.op_type, node.name) for node in model.graph] == [("Mul", "y/multiply"), ("Add", "y")]
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(outputs_of(model, x=x), expected, rtol=1e-5, atol=1e-6)
    before = text_of(model)
    enter_training_mode(model, set())
    assert text_of(model) == before


DROPPED = """net (float[N, 2] x) => (float[N, 2] y)
<float rate = {0.25}>
{
    a = Dropout (x, rate)
    b = Relu (a)
    y = Dropout (b)
}"""


def test_dropout_becomes_a_multiplication_with_a_mask_of_its_own() -> None:
    model = model_of(DROPPED)
    enter_training_mode(model, set())
    assert [(node.domain, node.op_type, node.name) for node in model.graph] == [
        (ATEN_DOMAIN, "ATen", "a/mask"),
        ("", "Mul", "a"),
        ("", "Relu", "b"),
        (ATEN_DOMAIN, "ATen", "y/mask"),
        ("", "Mul", "y"),
    ]
    masks = [node for node in model.graph if node.domain == ATEN_DOMAIN]
    assert [json.loads(mask.attributes["overload_name"].as_string()) for mask in masks] == [
        {"rate": 0.25, "name": "a"},
        {"rate": 0.5, "name": "y"},
    ]
    assert [value.name for value in model.graph.inputs] == ["x", SEED_AND_STEP]
    assert [value.name for value in model.graph.outputs] == ["y"]
    before = text_of(model)
    enter_training_mode(model, set())
    assert text_of(model) == before


def test_a_mask_is_the_same_along_the_axes_that_the_metadata_names() -> None:
    model = model_of("net (float[N, 2, 4] x) => (float[N, 2, 4] y) { y = Dropout (x) }")
    (node,) = model.graph
    node.metadata_props["onnxgrid.shared_mask"] = "[2]"
    enter_training_mode(model, set())
    mask, _ = model.graph
    assert json.loads(mask.attributes["overload_name"].as_string()) == {"rate": 0.5, "name": "y", "shared_axes": [2]}
    assert mask.outputs[0].shape == ["N", 2, 1]
    (drawn,) = dropout_mask(
        torch.ones(50, 2, 4), torch.tensor([0, 0, 0, 50, 50, 1]), rate=0.5, name="y", shared_axes=[2]
    )
    assert drawn.shape == (50, 2, 1)
    assert set(drawn.flatten().tolist()) == {0.0, 2.0}


SEVERAL = "net (float[N, 2] x, float[N, 2] a, float[N, 2] b) => (float[N, 2] y) {{ y = {op} (x, a, b) }}"


@pytest.mark.parametrize(
    ("op_type", "nodes"),
    {
        "Max": [("Max", "y/1"), ("Max", "y")],
        "Min": [("Min", "y/1"), ("Min", "y")],
        "Sum": [("Add", "y/1"), ("Add", "y")],
        "Mean": [("Add", "y/1"), ("Add", "y/2"), ("Div", "y")],
    }.items(),
)
def test_ops_of_several_inputs_become_nodes_of_two(op_type: str, nodes: list[tuple[str, str]]) -> None:
    model = model_of(SEVERAL.format(op=op_type))
    inputs = {name: random(5, 2) + i for i, name in enumerate("xab")}
    expected = outputs_of(model, **inputs)
    enter_training_mode(model, set())
    assert [(node.op_type, node.name) for node in model.graph] == nodes
    np.testing.assert_allclose(outputs_of(model, **inputs), expected, rtol=1e-5, atol=1e-6)
    before = text_of(model)
    enter_training_mode(model, set())
    assert text_of(model) == before


def test_a_graph_without_dropout_and_normalization_stays_as_it_is() -> None:
    model = model_of("net (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }")
    before = text_of(model)
    enter_training_mode(model, set())
    assert text_of(model) == before
