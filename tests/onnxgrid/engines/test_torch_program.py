"""Whole graphs in torch: every op that the converter writes is known, and gives what ONNX Runtime gives."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import converters
from onnxgrid.engines.torch_program import TorchProgram
from tests.converters.keras_oracle import channels_first, convert_keras, random_inputs, random_numbers
from tests.converters.layer_cases import Case
from tests.converters.layer_cases import flat as layer_cases
from tests.onnxgrid.engines.op_cases import CASES as OP_CASES

MODELS = Path(__file__).parents[3] / "models"
NETWORKS = sorted(path for path in MODELS.glob("*.json") if not path.name.startswith("run_"))


TRAINED = {("", case.op_type) for case in OP_CASES.values() if case.differentiable and case.in_runtime}
"""Ops that `test_torch_ops.py` trains on both engines."""

SIZES = ("Cast", "ConstantOfShape", "Range", "Shape")
CONDITIONS = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "Not", "Or")

NO_GRADIENT = {("", op) for op in (*SIZES, *CONDITIONS)}
"""Ops that the converter writes where no gradient is asked for: sizes, conditions, class numbers."""

INFERENCE_ONLY = {"LSTM", "GRU", "RNN", "Scan", "Loop"}
"""Ops of recurrent layers, which are converted and not trained."""


def is_trained(model: ir.Model) -> bool:
    """Whether the network is one for training; if so, every op of it is trained on both engines."""
    ops = {(node.domain, node.op_type) for node in model.graph}
    if any(op_type in INFERENCE_ONLY for _, op_type in ops):
        return False
    assert ops <= TRAINED | NO_GRADIENT
    return True


def assert_torch_equals_onnxruntime(model: ir.Model, inputs: list[np.ndarray]) -> None:
    program = TorchProgram(model, model.graph.outputs, [], torch.device("cpu"), "net.onnx")
    names = [value.name or "" for value in model.graph.inputs]
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    expected = session.run(None, dict(zip(names, inputs, strict=True)))
    given = program(dict(zip(names, map(torch.from_numpy, inputs), strict=True)))
    for ours, theirs in zip(given, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-5, strict=True)


@pytest.mark.parametrize("case", layer_cases().values(), ids=layer_cases())
def test_every_layer_in_torch_equals_onnxruntime(case: Case, tmp_path: Path) -> None:
    model = convert_keras(case.model(), tmp_path, case.edit)
    shapes = case.sizes or [shape for shape in case.shapes if None not in shape]
    if not is_trained(model):
        pytest.skip("a recurrent layer: it is converted, not trained")
    inputs = random_inputs(shapes)
    if case.numbers_below is not None:
        inputs = [random_numbers(shape, case.numbers_below) for shape in shapes]
    assert_torch_equals_onnxruntime(model, inputs if case.raw_inputs else [channels_first(x) for x in inputs])


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_every_network_of_ours_in_torch_equals_onnxruntime(path: Path) -> None:
    model = converters.convert(path)
    assert is_trained(model)
    shape = [2, *list(model.graph.inputs[0].shape or ())[1:]]
    assert_torch_equals_onnxruntime(model, [np.random.default_rng(0).random(shape, dtype=np.float32)])


def model_of(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 17]>\n{text}'))


def test_values_are_let_go_after_their_last_use_but_not_before() -> None:
    model = model_of("""net (float[N, 2] x) => (float[N, 2] y, float[N, 2] a) {
        a = Relu (x)
        b = Add (a, x)
        c = Mul (b, b)
        y = Add (c, x)
    }""")
    x = torch.tensor([[1.0, -2.0]])
    program = TorchProgram(model, model.graph.outputs, [], torch.device("cpu"), "net.onnx")
    y, a = program({"x": x})
    assert (y.tolist(), a.tolist()) == ([[5.0, 2.0]], [[1.0, 0.0]])
