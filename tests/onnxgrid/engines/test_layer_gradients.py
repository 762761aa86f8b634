"""The gradient of every layer that can be converted, on the ort engine against torch's autograd."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from converters.keras_wrappers import TIME_DISTRIBUTED
from converters.layers import LAYERS
from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError
from onnxgrid.losses import MeanSquaredError
from tests.converters.keras_oracle import convert_keras
from tests.converters.layer_cases import Case
from tests.converters.layer_cases import flat as layer_cases
from tests.converters.layer_cases.recurrent import RECURRENT

SAMPLES = 3
PROBE = "probe.weight"
"""A parameter that is added to the input, so that layers without weights pass a gradient on to something too."""

CASES = {
    name: case
    for name, case in layer_cases().items()
    if len(case.shapes) == 1
    and None not in case.shapes[0]  # an engine trains networks of one input
    and name.partition(": ")[0] not in RECURRENT
}


def insert_probe(model: ir.Model) -> None:
    """Add a parameter to the graph's input, in place."""
    (x,) = model.graph.inputs
    assert x.shape is not None
    shape = [int(size) for size in list(x.shape)[1:]]
    values = np.random.default_rng(0).normal(size=[1, *shape]).astype(np.float32)
    probe = ir.val(PROBE, const_value=ir.tensor(values, name=PROBE))
    node = ir.node("Add", [x, probe], name="probe")
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = "probe", x.type, x.shape
    x.replace_all_uses_with(node.outputs[0])
    node.replace_input_with(0, x)
    model.graph.register_initializer(probe)
    model.graph.insert_before(next(iter(model.graph)), node)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_gradient_of_a_layer_is_that_of_torch(case: Case, tmp_path: Path) -> None:
    model = convert_keras(case.model(), tmp_path, case.edit)
    if not len(model.graph):
        pytest.skip("nothing is computed: the layer is the identity")
    if case.numbers_below is None:
        insert_probe(model)
    graph = TrainableGraph.from_model(model, "net.onnx")
    random = torch.Generator().manual_seed(0)
    sizes = [SAMPLES, *list(model.graph.inputs[0].shape or ())[1:]]
    if case.numbers_below is None:
        inputs = torch.randn(sizes, generator=random)
    else:
        inputs = torch.randint(case.numbers_below, sizes, generator=random).float()
    engines = [create_engine(name, graph, MeanSquaredError(), seed=0) for name in ("ort", "torch")]
    targets = torch.randn(engines[0].predict(inputs).shape, generator=random)
    results = [engine.step(inputs, targets, number=0) for engine in engines]
    torch.testing.assert_close(results[0].loss, results[1].loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(results[0].outputs, results[1].outputs, rtol=1e-4, atol=1e-5)
    ours, theirs = (engine.gradients.views for engine in engines)
    assert all(gradient.abs().max() > 0 for gradient in theirs.values())
    for name, gradient in theirs.items():
        torch.testing.assert_close(
            ours[name], gradient, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_every_class_is_trained_in_a_case() -> None:
    trained = {name.partition(": ")[0] for name in CASES}
    assert trained - {TIME_DISTRIBUTED} == {entry.class_name for entry in LAYERS.values()} - RECURRENT


@pytest.mark.parametrize("engine", ["ort", "torch"])
@pytest.mark.parametrize("class_name", sorted(RECURRENT))
def test_a_recurrent_layer_is_refused_by_training(class_name: str, engine: str, tmp_path: Path) -> None:
    case = next(case for name, case in layer_cases().items() if name.startswith(f"{class_name}: "))
    model = convert_keras(case.model(), tmp_path)
    recurrent = [node for node in model.graph if node.op_type in ("GRU", "LSTM", "RNN")]
    with pytest.raises(ConfigError) as error:
        create_engine(engine, TrainableGraph.from_model(model, "net.onnx"), MeanSquaredError(), seed=0)
    problems = [f"  node '{node.name}': op ai.onnx::{node.op_type} is not known" for node in recurrent]
    told = str(error.value).splitlines()
    assert told[:-1] == ["net.onnx: the network has ops that cannot be trained", *problems]
    assert told[-1].startswith("  Known ops: Abs, ")
