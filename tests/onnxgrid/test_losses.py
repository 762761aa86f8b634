"""Losses against their published definitions, ONNX against torch, in value and in gradient, for hard inputs."""

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from onnxgrid.config.loss import BCELossConfig, LossConfig, MSELossConfig, NLLLossConfig, Source
from onnxgrid.data.dataset import TargetKind
from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    Loss,
    MeanSquaredError,
    NegativeLogLikelihood,
    OpWriter,
    SoftmaxCrossEntropy,
    loss_for,
)

Definition = Callable[[np.ndarray, np.ndarray], float]


def mean_squared_error(y: np.ndarray, t: np.ndarray) -> float:
    return sum((a - b) ** 2 for a, b in zip(y.ravel(), t.ravel(), strict=True)) / y.size


def binary_cross_entropy(y: np.ndarray, t: np.ndarray) -> float:
    def log(p: float) -> float:
        return max(math.log(p), -100) if p > np.finfo(np.float32).tiny else -100  # subnormal numbers count as 0

    return sum(-(b * log(a) + (1 - b) * log(1 - a)) for a, b in zip(y.ravel(), t.ravel(), strict=True)) / y.size


def binary_cross_entropy_with_logits(x: np.ndarray, t: np.ndarray) -> float:
    return sum(np.logaddexp(0, a) - a * b for a, b in zip(x.ravel(), t.ravel(), strict=True)) / x.size


def negative_log_likelihood(weight: list[float], ignored: int | None) -> Definition:
    def definition(y: np.ndarray, t: np.ndarray) -> float:
        total = weights = 0.0
        for place in np.ndindex(t.shape):
            c = t[place]
            if c != ignored:
                total += weight[c] * y[(place[0], c, *place[1:])]
                weights += weight[c]
        return -total / weights

    return definition


def log_probabilities(*shape: int) -> np.ndarray:
    logits = np.random.default_rng(0).normal(size=shape)
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def classes(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(3, size=shape)


IGNORING = classes(2, 4, 5)
IGNORING[0, :2] = IGNORING[1, 3, 4] = 255
EDGES = np.array([[0, 1, 0.5], [1, 0, 0.25], [1e-30, 1e-42, 1], [0, 1, 0]], dtype=np.float32)
EDGE_TARGETS = np.array([[0, 1, 0.5], [0, 1, 1], [1, 1, 0.25], [0.5, 0.5, 1]], dtype=np.float32)
LOGITS = np.array([[0, 100, -100], [100, -100, 0], [-1000, 1000, 3]], dtype=np.float32)
LOGIT_TARGETS = np.array([[0.5, 1, 0], [0, 1, 1], [0.25, 0.5, 0]], dtype=np.float32)
WEIGHT = (0.5, 0.0, 3.0)

CASES: dict[str, tuple[Loss, Definition, np.ndarray, np.ndarray]] = {
    "MSE": (MeanSquaredError(), mean_squared_error, values(2, 3, 4, 5), 2 * values(2, 3, 4, 5) + 1),
    "MSE of equal values": (MeanSquaredError(), mean_squared_error, values(2, 3), values(2, 3)),
    "BCE": (BinaryCrossEntropy(), binary_cross_entropy, np.abs(values(4, 3)) % 1, np.abs(values(4, 3)) * 7 % 1),
    "BCE of probabilities 0 and 1": (BinaryCrossEntropy(), binary_cross_entropy, EDGES, EDGE_TARGETS),
    "BCE of logits": (
        BinaryCrossEntropyWithLogits(),
        binary_cross_entropy_with_logits,
        3 * values(4, 3),
        np.abs(values(4, 3)) % 1,
    ),
    "BCE of logits 0, 100 and -100": (
        BinaryCrossEntropyWithLogits(),
        binary_cross_entropy_with_logits,
        LOGITS,
        LOGIT_TARGETS,
    ),
    "NLL": (NegativeLogLikelihood(), negative_log_likelihood([1, 1, 1], None), log_probabilities(7, 3), classes(7)),
    "NLL of pixels": (
        NegativeLogLikelihood(),
        negative_log_likelihood([1, 1, 1], None),
        log_probabilities(2, 3, 4, 5),
        classes(2, 4, 5),
    ),
    "NLL with weights, one of them 0": (
        NegativeLogLikelihood(WEIGHT),
        negative_log_likelihood(list(WEIGHT), None),
        log_probabilities(7, 3),
        classes(7),
    ),
    "NLL with an ignored index that is no class": (
        NegativeLogLikelihood(ignore_index=255),
        negative_log_likelihood([1, 1, 1], 255),
        log_probabilities(2, 3, 4, 5),
        IGNORING,
    ),
    "NLL with weights and an ignored class": (
        NegativeLogLikelihood(WEIGHT, 2),
        negative_log_likelihood(list(WEIGHT), 2),
        log_probabilities(2, 3, 4, 5),
        classes(2, 4, 5),
    ),
    "NLL ignoring index 0": (
        NegativeLogLikelihood(ignore_index=0),
        negative_log_likelihood([1, 1, 1], 0),
        log_probabilities(7, 3),
        classes(7),
    ),
    "NLL of probabilities that are 0 and 1": (
        NegativeLogLikelihood(),
        negative_log_likelihood([1, 1, 1], None),
        np.array([[0, -100, -100], [-100, 0, -100]], dtype=np.float32),
        np.array([0, 0]),
    ),
}

LOG_SOFTMAX_CASES = {
    name.replace("NLL", "cross entropy"): (
        SoftmaxCrossEntropy(loss.weight, loss.ignore_index),
        lambda x, t, definition=definition: definition(np.asarray(torch.from_numpy(x).double().log_softmax(1)), t),
        3 * values(*y.shape),
        target,
    )
    for name, (loss, definition, y, target) in CASES.items()
    if isinstance(loss, NegativeLogLikelihood)
}
CASES |= LOG_SOFTMAX_CASES

every_case = pytest.mark.parametrize(("loss", "definition", "y", "target"), CASES.values(), ids=CASES)


def in_onnx(loss: Loss, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The loss as ONNX Runtime computes it, from a graph that holds nothing else."""
    indices = loss.target_kind is TargetKind.CLASS_INDICES
    inputs = [
        ir.val("y", dtype=ir.DataType.FLOAT, shape=ir.Shape(["N", *y.shape[1:]])),
        ir.val(
            "t", dtype=ir.DataType.INT64 if indices else ir.DataType.FLOAT, shape=ir.Shape(["N", *target.shape[1:]])
        ),
    ]
    graph = ir.Graph(inputs, [], nodes=[], opset_imports={"": 17}, name="loss")
    value = loss.in_onnx(OpWriter(graph, "loss"), *inputs)
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    graph.outputs.append(value)
    session = onnxruntime.InferenceSession(ir.to_proto(ir.Model(graph, ir_version=9)).SerializeToString())
    return session.run(None, {"y": y, "t": target})[0]


@every_case
def test_a_loss_equals_its_definition_in_torch_and_in_onnx(
    loss: Loss, definition: Definition, y: np.ndarray, target: np.ndarray
) -> None:
    expected = definition(y, target)
    in_torch = loss.in_torch(torch.from_numpy(y), torch.from_numpy(target))
    assert in_torch.shape == in_onnx(loss, y, target).shape == ()
    assert in_torch.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert in_onnx(loss, y, target) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def ort_gradient(loss: Loss, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The gradient with respect to y, which here is the one parameter, of the ort engine's training graph."""
    x = ir.val("x", dtype=ir.DataType.FLOAT, shape=ir.Shape(list(y.shape)))
    weight = ir.val("y.weight", const_value=ir.tensor(y, name="y.weight"))
    node = ir.node("Add", [x, weight], name="y")
    node.outputs[0].name = "y"
    node.outputs[0].type, node.outputs[0].shape = x.type, ir.Shape(list(y.shape))
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[weight], opset_imports={"": 17}, name="net")
    trainable = TrainableGraph.from_model(ir.Model(graph, ir_version=9), "net.onnx")
    engine = create_engine("ort", trainable, loss, seed=0)
    engine.step(torch.zeros(y.shape), torch.from_numpy(target), number=0)
    return engine.gradients.views["y.weight"].numpy().copy()


@every_case
def test_the_gradient_of_the_training_graph_is_that_of_torch(
    loss: Loss, definition: Definition, y: np.ndarray, target: np.ndarray
) -> None:
    leaf = torch.tensor(y, requires_grad=True)
    loss.in_torch(leaf, torch.from_numpy(target)).backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    np.testing.assert_allclose(ort_gradient(loss, y, target), leaf.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_the_gradient_of_logits_is_sigmoid_minus_target_over_the_count() -> None:
    sigmoid = (1 + np.tanh(LOGITS.astype(np.float64) / 2)) / 2
    expected = (sigmoid - LOGIT_TARGETS) / LOGITS.size
    np.testing.assert_allclose(
        ort_gradient(BinaryCrossEntropyWithLogits(), LOGITS, LOGIT_TARGETS), expected, rtol=1e-5, atol=1e-7
    )


def test_bce_behind_a_sigmoid_reads_the_logits() -> None:
    sigmoid = ir.node("Sigmoid", [ir.val("logits")], name="s")
    assert BinaryCrossEntropy().attached_to(sigmoid.outputs[0]) == (BinaryCrossEntropyWithLogits(), sigmoid.inputs[0])


@pytest.mark.parametrize("producer", ["Relu", None])
def test_bce_behind_anything_else_reads_the_output(producer: str | None) -> None:
    output = ir.val("y") if producer is None else ir.node(producer, [ir.val("x")], name="n").outputs[0]
    assert BinaryCrossEntropy().attached_to(output) == (BinaryCrossEntropy(), output)


def log_softmax(axis: int, *shape: int) -> ir.Node:
    node = ir.node("LogSoftmax", [ir.val("logits")], {"axis": axis}, name="end")
    node.outputs[0].shape = ir.Shape(shape)
    return node


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 3)), (-1, (2, 3)), (1, (2, 3, 4, 5)), (-3, (2, 3, 4, 5))])
def test_nll_behind_a_log_softmax_reads_the_logits(axis: int, shape: tuple[int, ...]) -> None:
    end = log_softmax(axis, *shape)
    loss, read = NegativeLogLikelihood(WEIGHT, 7).attached_to(end.outputs[0])
    assert (loss, read) == (SoftmaxCrossEntropy(WEIGHT, 7), end.inputs[0])
    assert loss.attached_to(end.outputs[0]) == (loss, end.outputs[0])


def test_nll_behind_anything_else_reads_the_output() -> None:
    nll = NegativeLogLikelihood()
    for output in (
        log_softmax(-1, 2, 3, 4, 5).outputs[0],  # of columns, not of channels
        ir.node("Log", [ir.val("p")], name="end").outputs[0],
        ir.val("y"),
    ):
        assert nll.attached_to(output) == (nll, output)


CONFIGS: dict[str, tuple[LossConfig, Loss]] = {
    "NLL": (NLLLossConfig(), NegativeLogLikelihood()),
    "NLL with options": (NLLLossConfig(weight=(1.0, 2.0), ignore_index=-1), NegativeLogLikelihood((1.0, 2.0), -1)),
    "BCE": (BCELossConfig(), BinaryCrossEntropy()),
    "BCE of a sigmoid": (BCELossConfig(source=Source.SIGMOID), BinaryCrossEntropy()),
    "BCE of logits": (BCELossConfig(source=Source.LOGITS), BinaryCrossEntropyWithLogits()),
    "MSE": (MSELossConfig(), MeanSquaredError()),
}


@pytest.mark.parametrize(("config", "loss"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_gives_the_loss_that_it_names(config: LossConfig, loss: Loss) -> None:
    assert loss_for(config) == loss


def test_every_loss_has_a_case() -> None:
    tested = {type(loss) for loss, *_ in CASES.values()}
    assert {*Loss.__subclasses__(), *NegativeLogLikelihood.__subclasses__()} == tested
