"""Normalizations folded into layers: the oracle is ONNX Runtime on the graph as it was."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from onnxgrid.engines import create_engine, create_predictor
from onnxgrid.engines.folding import fold_normalizations
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError

TOLERANCE = 1e-5
"""Of the largest output."""

PLANE, ROWS = "N, 4, 7, 6", "N, 4"
NORM = {"n_weight": (6,), "n_bias": (6,), "n_mean": (6,), "n_var": (6,)}
BN = '"n.weight", "n.bias", "n.mean", "n.var"'


def model_of(body: str, x: str, **weights: tuple[int, ...]) -> ir.Model:
    """The network of an ONNX text from x to y, with random weights of these shapes (`_` in a name is a dot)."""
    sizes = ", ".join("abcdef"[: 4 if "Gemm" not in body else 2])
    text = f'<ir_version: 9, opset_import: ["" : 17]> net (float[{x}] x) => (float[{sizes}] y) {{ {body} }}'
    proto, random = onnx.parser.parse_model(text), np.random.default_rng(0)
    for name, shape in weights.items():
        values = random.normal(size=shape).astype(np.float32)
        positive = np.abs(values) + 0.5 if "var" in name else values
        proto.graph.initializer.append(onnx.numpy_helper.from_array(positive, name.replace("_", ".")))
    for node in proto.graph.node:
        node.name = node.output[0]
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def given_to(model: ir.Model) -> torch.Tensor:
    sizes = [int(size) for size in list(model.graph.inputs[0].shape or ())[1:]]
    return torch.randn(3, *sizes, generator=torch.Generator().manual_seed(1))


def by_onnxruntime(model: ir.Model, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    scale = float(theirs.abs().max())
    torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=TOLERANCE)


CONV = {"w_weight": (6, 4, 3, 3), "w_bias": (6,)}

FOLDED = {
    "a convolution": model_of(
        f'c = Conv (x, "w.weight", "w.bias") y = BatchNormalization (c, {BN})', PLANE, **CONV, **NORM
    ),
    "a convolution without bias": model_of(
        f'c = Conv <strides = [2, 1]> (x, "w.weight") y = BatchNormalization <epsilon: float = 0.3> (c, {BN})',
        PLANE,
        w_weight=(6, 4, 3, 3),
        **NORM,
    ),
    "a convolution in groups, a Relu behind": model_of(
        f'c = Conv <group = 2> (x, "w.weight", "w.bias") n = BatchNormalization (c, {BN}) y = Relu (n)',
        PLANE,
        w_weight=(6, 2, 3, 3),
        w_bias=(6,),
        **NORM,
    ),
    "a transposed convolution": model_of(
        f'c = ConvTranspose <strides = [2, 2]> (x, "w.weight", "w.bias") y = BatchNormalization (c, {BN})',
        PLANE,
        w_weight=(4, 6, 3, 3),
        w_bias=(6,),
        **NORM,
    ),
    "a transposed convolution in groups": model_of(
        f'c = ConvTranspose <group = 2> (x, "w.weight") y = BatchNormalization (c, {BN})',
        PLANE,
        w_weight=(4, 3, 2, 2),
        **NORM,
    ),
    "a product": model_of(
        f'c = Gemm <alpha: float = 0.5> (x, "w.weight", "w.bias") y = BatchNormalization (c, {BN})',
        ROWS,
        w_weight=(4, 6),
        w_bias=(6,),
        **NORM,
    ),
    "a product with the transposed kernel, without bias": model_of(
        f'c = Gemm <transB = 1> (x, "w.weight") y = BatchNormalization (c, {BN})', ROWS, w_weight=(6, 4), **NORM
    ),
    "two layers that share a kernel": model_of(
        f'c = Conv (x, "w.weight", "w.bias") n = BatchNormalization (c, {BN}) d = Conv (x, "w.weight") '
        f"m = BatchNormalization (d, {BN}) y = Sub (n, m)",
        PLANE,
        **CONV,
        **NORM,
    ),
}

LEFT_ALONE = {
    "another reader": model_of(
        f'c = Conv (x, "w.weight") n = BatchNormalization (c, {BN}) y = Add (n, c)',
        PLANE,
        w_weight=(6, 4, 3, 3),
        **NORM,
    ),
    "no layer before it": model_of(
        f'r = Relu (x) c = Conv (r, "w.weight") a = Abs (c) y = BatchNormalization (a, {BN})',
        PLANE,
        w_weight=(6, 4, 3, 3),
        **NORM,
    ),
    "a normalization of the input": model_of(f"y = BatchNormalization (x, {BN})", "N, 6, 5, 5", **NORM),
    "a computed kernel": model_of(
        f'k = Abs ("w.weight") c = Conv (x, k) y = BatchNormalization (c, {BN})', PLANE, w_weight=(6, 4, 3, 3), **NORM
    ),
    "a bias that would be scaled": model_of(
        f'c = Gemm <beta: float = 0.0> (x, "w.weight") y = BatchNormalization (c, {BN})',
        ROWS,
        w_weight=(4, 6),
        **NORM,
    ),
    "a scaled bias": model_of(
        f'c = Gemm <beta: float = 2.0> (x, "w.weight", "w.bias") y = BatchNormalization (c, {BN})',
        ROWS,
        w_weight=(4, 6),
        w_bias=(6,),
        **NORM,
    ),
    "one bias for all columns": model_of(
        f'c = Gemm (x, "w.weight", "w.bias") y = BatchNormalization (c, {BN})',
        ROWS,
        w_weight=(4, 6),
        w_bias=(1,),
        **NORM,
    ),
}


def norms(model: ir.Model) -> int:
    return sum(node.op_type == "BatchNormalization" for node in model.graph)


@pytest.mark.parametrize("model", FOLDED.values(), ids=FOLDED)
def test_a_folded_normalization_gives_the_same_numbers(model: ir.Model) -> None:
    copy = model.clone()
    assert len(fold_normalizations(copy.graph)) == norms(model)
    assert norms(copy) == 0
    assert not any(name.startswith("n.") for name in copy.graph.initializers)
    x = given_to(model)
    assert_close(create_predictor("torch", model, "net.onnx")(x), by_onnxruntime(model, x))


@pytest.mark.parametrize("model", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_cannot_be_folded_is_left_alone(model: ir.Model) -> None:
    copy = model.clone()
    before = ir.to_proto(copy).SerializeToString(deterministic=True)
    assert fold_normalizations(copy.graph) == []
    assert ir.to_proto(copy).SerializeToString(deterministic=True) == before
    x = given_to(model)
    assert_close(create_predictor("torch", model, "net.onnx")(x), by_onnxruntime(model, x))


def test_an_engine_folds_the_weights_of_the_moment() -> None:
    graph = TrainableGraph.from_model(FOLDED["a convolution"], "net.onnx")
    engine, oracle = (create_engine(name, graph, MeanSquaredError(), seed=0) for name in ("torch", "ort"))
    x = given_to(graph.model)
    early = engine.predictor()
    before = early(x)
    engine.step(x, torch.zeros_like(before), number=0)
    engine.parameters.flat.sub_(engine.gradients.flat)
    for ours, theirs in ((oracle.parameters, engine.parameters), (oracle.statistics, engine.statistics)):
        ours.flat.copy_(theirs.flat)
    expected = oracle.predict(x)
    assert float((expected - before).abs().max()) > 0.1
    for predict in (engine.predictor(), engine.predict):
        assert_close(predict(x), expected)
