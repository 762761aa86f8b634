"""Normalizations folded into products that a converted network does not have: the oracle is ONNX Runtime before."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from converters.batchnorm_folding import fold_batch_normalization

TOLERANCE = 1e-5
"""Of the largest output."""

NORM = {"n.weight": (6,), "n.bias": (6,), "n.mean": (6,), "n.var": (6,)}
KERNEL, BIAS = {"w.weight": (4, 6)}, {"w.bias": (6,)}

GEMMS: dict[str, tuple[str, dict[str, tuple[int, ...]], int]] = {  # -> node, weights, how many are folded
    "a bias": ('Gemm (x, "w.weight", "w.bias")', KERNEL | BIAS, 1),
    "no bias": ('Gemm (x, "w.weight")', KERNEL, 1),
    "a scaled product": ('Gemm <alpha: float = 0.5> (x, "w.weight", "w.bias")', KERNEL | BIAS, 1),
    "a scaled product without bias": ('Gemm <alpha: float = 0.5> (x, "w.weight")', KERNEL, 1),
    "a transposed kernel": ('Gemm <transB = 1> (x, "w.weight", "w.bias")', {"w.weight": (6, 4)} | BIAS, 1),
    "a scaled bias": ('Gemm <beta: float = 2.0> (x, "w.weight", "w.bias")', KERNEL | BIAS, 0),
    "a bias that counts nothing": ('Gemm <beta: float = 0.0> (x, "w.weight", "w.bias")', KERNEL | BIAS, 0),
    "a new bias that would be scaled": ('Gemm <beta: float = 0.0> (x, "w.weight")', KERNEL, 0),
    "one bias for all columns": ('Gemm (x, "w.weight", "w.bias")', KERNEL | {"w.bias": (1,)}, 0),
}


def model_of(gemm: str, weights: dict[str, tuple[int, ...]]) -> ir.Model:
    """A product with a normalization behind, from x (N, 4) to y (N, 6), with random weights of these shapes."""
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> net (float[N, 4] x) => (float[N, 6] y) '
        f'{{ c = {gemm} y = BatchNormalization (c, "n.weight", "n.bias", "n.mean", "n.var") }}'
    )
    random = np.random.default_rng(0)
    for name, shape in {**weights, **NORM}.items():
        values = random.normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(abs(values) if "var" in name else values, name))
    for node in proto.graph.node:
        node.name = node.output[0]
    return ir.from_proto(proto)


@pytest.mark.parametrize(("gemm", "weights", "folded"), GEMMS.values(), ids=GEMMS)
def test_a_product_gives_the_same_numbers_folded_or_left_alone(
    gemm: str, weights: dict[str, tuple[int, ...]], folded: int
) -> None:
    model = model_of(gemm, weights)
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    (before,) = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    assert fold_batch_normalization(model) == folded
    assert [node.op_type for node in model.graph] == ["Gemm", "BatchNormalization"][: 2 - folded]
    (after,) = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(after, before, rtol=0, atol=TOLERANCE * np.abs(before).max())
