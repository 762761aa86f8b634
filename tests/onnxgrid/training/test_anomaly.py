"""`--detect-anomaly`: the first value that is not finite, by node and layer, on both engines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

import onnxgrid
from onnxgrid.data.batches import Batch
from onnxgrid.engines import create_engine
from onnxgrid.engines.engine import Engine
from onnxgrid.engines.tracing import create_tracer
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import WorkFailed
from onnxgrid.losses import MeanSquaredError
from onnxgrid.processes import ALONE
from onnxgrid.training.anomaly import first_anomaly
from onnxgrid.training.foreign import ready_for_training
from tests.processes import Group, command_line

ENGINES = ("ort", "torch")

TEXT = """<ir_version: 9, opset_import: ["": 17]>
net (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2, 2, 1, 1] conv_weight = {{1, 0, 0, 1}}, float[2] conv_bias = {{0, 0}}, float huge = {{3e38}}>
{{
    [conv] h = Conv (x, conv_weight, conv_bias)
    {rest}
}}"""

NETWORKS = {
    "sound": "[out] y = Tanh (h)",
    "infinite output": "[scale] big = Mul (h, huge) [square] s = Mul (big, big) [out] y = Tanh (s)",
    "output without value": "[root] r = Sqrt (h) [out] y = Tanh (r)",
    "infinite gradient": "[zero] z = Sub (h, h) [root] r = Sqrt (z) [out] y = Add (h, r)",
}


def graph_of(rest: str) -> TrainableGraph:
    model = ir.from_onnx_text(TEXT.format(rest=rest))
    for node in model.graph:
        node.metadata_props["onnxgrid.layer"] = f"layer_{node.name}"
    ready_for_training(model)
    return TrainableGraph.from_model(model, "net.onnx")


def batch() -> Batch:
    """The second of two samples is negative."""
    inputs = torch.ones(2, 2, 4, 4)
    inputs[1] = -2
    return Batch(inputs, torch.zeros(2, 2, 4, 4), torch.tensor([7, 3]))


def diagnosis(
    engine_name: str, network: str, change: Callable[[Engine, Batch], None] = lambda engine, batch: None
) -> str:
    graph, loss, given = graph_of(NETWORKS[network]), MeanSquaredError(), batch()
    engine = create_engine(engine_name, graph, loss, seed=0)
    change(engine, given)
    tracer = create_tracer(engine, graph, loss, seed=0, processes=1)
    return first_anomaly(tracer, engine, loss, [given], ALONE, number=5)


def nan_in_sample(engine: Engine, given: Batch) -> None:
    given.inputs[1, 0, 2, 3] = torch.nan


def infinite_target(engine: Engine, given: Batch) -> None:
    assert given.targets is not None
    given.targets[0, 1] = torch.inf


def infinite_weight(engine: Engine, given: Batch) -> None:
    engine.parameters.views["conv_bias"][1] = torch.inf


FIRST = "The first value that is not finite is"
CASES: dict[str, tuple[str, Callable[[Engine, Batch], None], str]] = {
    "nothing": ("sound", lambda *_: None, "Computed again value by value, all of the step's values are finite."),
    "an output": (
        "infinite output",
        lambda *_: None,
        f"{FIRST} the output of node 'scale' (Mul) of layer 'layer_scale': 0 of 64 numbers are NaN, 32 infinite.",
    ),
    "NaN": (
        "output without value",
        lambda *_: None,
        f"{FIRST} the output of node 'root' (Sqrt) of layer 'layer_root': 32 of 64 numbers are NaN, 0 infinite.",
    ),
    "a gradient": (
        "infinite gradient",
        lambda *_: None,
        f"{FIRST} a gradient that node 'root' (Sqrt) of layer 'layer_root' passes back: "
        "0 of 64 numbers are NaN, 64 infinite.",
    ),
    "the data": (
        "sound",
        nan_in_sample,
        "The input of sample 4 of the data set is not finite: 1 of 64 numbers are NaN, 0 infinite.",
    ),
    "the targets": (
        "sound",
        infinite_target,
        "The target of sample 8 of the data set is not finite: 0 of 64 numbers are NaN, 16 infinite.",
    ),
    "a weight": (
        "sound",
        infinite_weight,
        "conv_bias is not finite before the step: 0 of 2 numbers are NaN, 1 infinite.",
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("network", "change", "expected"), CASES.values(), ids=CASES)
def test_the_first_value_that_is_not_finite(
    engine: str, network: str, change: Callable[[Engine, Batch], None], expected: str
) -> None:
    assert diagnosis(engine, network, change) == expected


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run on six images, of which the network makes infinite numbers in the layer "blow"."""
    for i in range(6):
        (tmp_path / "x").mkdir(exist_ok=True)
        np.save(tmp_path / "x" / f"{i}.npy", np.full((1, 4, 4), 1e30, np.float32))
    network = [
        layer("InputLayer", "image", batch_input_shape=[None, 4, 4, 1]),
        layer("Rescaling", "blow", scale=1e20),
        layer("Conv2D", "conv", filters=1, kernel_size=1),
        layer("BatchNormalization", "norm"),
    ]
    run = {
        "layers": network,
        "data": {"type": "numpy", "input_path": str(tmp_path / "x"), "target_path": str(tmp_path / "x")},
        "optimizer": {"type": "SGD"},
        "loss": {"function": "MSE"},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"neural_network": run}))
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_names_the_layer(config: Path, engine: str) -> None:
    with pytest.raises(WorkFailed) as caught:
        onnxgrid.train(config, engine=engine, detect_anomaly=True)
    first, second, fix = str(caught.value).splitlines()
    assert first == "The loss is nan in batch 1 (step 1 of the run)."
    assert second.startswith(f"  {FIRST} the output of node 'blow")
    assert second.endswith("of layer 'blow': 0 of 96 numbers are NaN, 96 infinite.")
    assert fix == "  Lower optimizer.learning_rate, or look for NaN, unscaled or all ignored values in the data."


def test_several_processes_name_it_once(config: Path, tmp_path: Path) -> None:
    group = Group(2, tmp_path / "logs", command_line, "train", str(config), "--engine", "ort", "--detect-anomaly")
    assert group.end() == [1, 1]
    silent, told = sorted([group.err(0), group.err(1)])
    assert silent == ""
    assert "of layer 'blow': 0 of 48 numbers are NaN, 48 infinite." in told
