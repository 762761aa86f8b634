"""Operations of functional graphs, trained on the ort engine and on torch's autograd alike."""

from pathlib import Path

import keras
import pytest
import torch

import converters
from onnxgrid.engines import create_engine
from onnxgrid.engines.torch_ops import TORCH_OPS
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from tests.converters.operation_cases import CASES
from tests.converters.operation_cases.case import SHAPE
from tests.converters.test_operations import joined
from tests.onnxgrid.engines.test_layer_gradients import insert_probe

WITHOUT_GRADIENT = {
    f"keras.ops.{name}"
    for name in [
        "All",
        "Angle",
        "Any",
        "Argmax",
        "Argmin",
        "Argsort",
        "CountNonzero",
        "Digitize",
        "EmptyLike",
        "Equal",
        "FullLike",
        "Greater",
        "GreaterEqual",
        "Heaviside",
        "Isclose",
        "Isfinite",
        "Isinf",
        "Isnan",
        "Isneginf",
        "Isposinf",
        "Less",
        "LessEqual",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "LogicalXor",
        "MultiHot",
        "NotEqual",
        "OneHot",
        "OnesLike",
        "SearchSorted",
        "Signbit",
        "ZerosLike",
    ]
}
"""What does not change with its input, or changes in steps."""

ONE_OF_EACH = {
    name: next(iter(cases.values()))
    for name, cases in CASES.items()
    if name not in WITHOUT_GRADIENT and "a known batch" not in cases
}


@pytest.mark.filterwarnings("ignore:Using torch.cross without")  # within Keras
@pytest.mark.parametrize("compute", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_the_gradient_of_an_operation_is_that_of_torch(compute: object, tmp_path: Path) -> None:
    both = keras.Input((*SHAPE[:-1], 2 * SHAPE[-1]), name="both")
    x, y = both[..., : SHAPE[-1]], both[..., SHAPE[-1] :]
    model = keras.Model(both, joined(compute(x, y)))  # type: ignore[operator]
    (tmp_path / "net.json").write_text(model.to_json())
    converted = converters.convert(tmp_path / "net.json")
    lacking = {node.op_type for node in converted.graph if (node.domain, node.op_type) not in TORCH_OPS}
    if lacking:
        pytest.skip(f"the engines have no {', '.join(sorted(lacking))}: it is converted, not trained")
    insert_probe(converted)
    graph = TrainableGraph.from_model(converted, "net.onnx")
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 2 * SHAPE[-1], *SHAPE[:-1], generator=random)
    engines = [create_engine(name, graph, MeanSquaredError(), seed=0) for name in ("ort", "torch")]
    targets = torch.randn(engines[1].predict(inputs).shape, generator=random)
    ours, theirs = (engine.step(inputs, targets, number=0) for engine in engines)
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(engines[0].gradients.flat, engines[1].gradients.flat, rtol=1e-3, atol=1e-5)
