"""Operations of functional graphs, trained on the ort engine and on torch's autograd alike."""

from pathlib import Path

import keras
import pytest
import torch
from keras import layers as kl

import converters
from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from tests.converters.test_operations import SHAPE
from tests.converters.test_operations import flat as operation_cases
from tests.onnxgrid.engines.test_layer_gradients import insert_probe
from tests.onnxgrid.engines.test_torch_program import is_trained

CASES = operation_cases()


@pytest.mark.parametrize("compute", CASES.values(), ids=CASES)
def test_the_gradient_of_an_operation_is_that_of_torch(compute: object, tmp_path: Path) -> None:
    both = keras.Input((*SHAPE[:-1], 2 * SHAPE[-1]), name="both")
    x, y = both[..., : SHAPE[-1]], both[..., SHAPE[-1] :]
    model = keras.Model(both, kl.Flatten()(compute(x, y)))  # type: ignore[operator]
    (tmp_path / "net.json").write_text(model.to_json())
    converted = converters.convert(tmp_path / "net.json")
    if not is_trained(converted):
        pytest.skip("a recurrent operation: it is converted, not trained")
    insert_probe(converted)
    graph = TrainableGraph.from_model(converted, "net.onnx")
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 2 * SHAPE[-1], *SHAPE[:-1], generator=random)
    engines = [create_engine(name, graph, MeanSquaredError(), seed=0) for name in ("ort", "torch")]
    targets = torch.randn(engines[1].predict(inputs).shape, generator=random)
    ours, theirs = (engine.step(inputs, targets, number=0) for engine in engines)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(engines[0].gradients.flat, engines[1].gradients.flat, rtol=1e-3, atol=1e-5)
