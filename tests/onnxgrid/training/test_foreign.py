"""Models of other tools are trained: what their exporters do to a graph is undone first."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError
from onnxgrid.losses import MeanSquaredError
from onnxgrid.training.foreign import ready_for_training

MERGED = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 2, 6, 5] x) => (float[N, 2, 6, 5] y)
<float[2] ones = {1, 1}, float[2] zeros = {0, 0}> {
   a = BatchNormalization(x, ones, zeros, zeros, ones)
   half = Constant<value_float: float = 0.5>()
   b = Mul(a, half)
   y = BatchNormalization(b, ones, zeros, zeros, ones)
}
"""


def graph_of(text: str) -> TrainableGraph:
    model = ir.from_onnx_text(text)
    ready_for_training(model)
    return TrainableGraph.from_model(model, "net.onnx")


def test_merged_initializers_are_trained_apart() -> None:
    graph = graph_of(MERGED)
    assert len(graph.parameters) == 4
    assert len(graph.statistics) == 4
    onnx.checker.check_model(ir.to_proto(graph.model), full_check=True)


@pytest.mark.parametrize("engine_name", ["ort", "torch"])
def test_a_model_with_merged_initializers_and_constants_trains(engine_name: str) -> None:
    engine = create_engine(engine_name, graph_of(MERGED), MeanSquaredError(), seed=0)
    x = torch.randn(4, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    loss = engine.step(x, x, number=0).loss.item()
    assert np.isfinite(loss)
    assert engine.gradients.flat.abs().max() > 0


def test_a_model_of_ours_stays_as_it_is(tmp_path: Path) -> None:
    import converters

    model = converters.convert("models/digits_conv_16.json")
    before = ir.to_proto(model)
    ready_for_training(model)
    after = ir.to_proto(model)
    assert [node.name for node in after.graph.node] == [node.name for node in before.graph.node]
    assert {t.name: t.raw_data for t in after.graph.initializer} == {
        t.name: t.raw_data for t in before.graph.initializer
    }


@pytest.mark.parametrize("opset", [11, 13, 22])
def test_another_opset_is_refused(opset: int) -> None:
    with pytest.raises(ConfigError) as error:
        graph_of(MERGED.replace("17]", f"{opset}]"))
    assert str(error.value) == (
        f"net.onnx: the model has opset {opset}; training knows the operators of opsets 15 to 21\n"
        "  Export the model with opset 17."
    )


def test_shapes_that_cannot_be_inferred_are_left_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    model = ir.from_onnx_text(MERGED.replace("Mul(a, half)", "Reshape(a, ones)"))
    ready_for_training(model)
    assert caplog.text == ""
    assert model.graph.node(-1).inputs[0].shape is None
