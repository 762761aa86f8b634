"""The two engines against each other and against torch: same network, same seed, same batches."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import converters
from onnxgrid import zoo
from onnxgrid.config.optimizer import AdamConfig, SGDConfig
from onnxgrid.engines import KernelChoice, KernelOptions, create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    Loss,
    MeanSquaredError,
    NegativeLogLikelihood,
)
from onnxgrid.optimizers import create_optimizer

STEPS = 20
TOLERANCE = 1e-4
"""Relative. Two implementations of float32 sums differ by 1e-7 a step; twenty steps of training amplify that."""

WEIGHT_TOLERANCE = 1e-3
"""Of the length of all weights, and of predictions: a whole wrong gradient of a layer shows as 1e-2 and more."""


TORCH_KERNELS = KernelOptions(KernelChoice.ATEN)
"""Not the fastest, which are others on a busy machine: where two values are as good as equal, another rounding makes
another one the maximum, and a long run another run.
"""


def layer(class_name: str, name: str, **config: object) -> dict[str, object]:
    return {"class_name": class_name, "config": {"name": name, **config}}


def merge(class_name: str, name: str, inputs: list[str], **config: object) -> dict[str, object]:
    return {**layer(class_name, name, **config), "inbound_nodes": [[[source, 0, 0, {}] for source in inputs]]}


INPUT = layer("InputLayer", "image", batch_input_shape=[None, 12, 10, 2])

CLASSIFIER = [
    INPUT,
    layer("Conv2D", "conv", filters=6, kernel_size=[3, 5], strides=[2, 2], padding="same", activation="relu"),
    layer("BatchNormalization", "norm"),
    layer("Dropout", "drop", rate=0.25),
    layer("MaxPooling2D", "pool", pool_size=2, padding="same"),
    layer("Flatten", "flat"),
    layer("Dense", "hidden", units=8, activation="tanh"),
    layer("Dense", "classes", units=5, activation="log_softmax"),
]
FROZEN = [
    {**entry, "config": {**entry["config"], "trainable": entry["config"]["name"] not in ("conv", "norm")}}  # type: ignore[dict-item, index]
    for entry in CLASSIFIER
]
SEGMENTER = [
    INPUT,
    layer("Conv2D", "down", filters=4, kernel_size=3, padding="same", activation="relu"),
    layer("MaxPooling2D", "pool", pool_size=2),
    layer("Conv2D", "bottom", filters=6, kernel_size=3, padding="same", activation="sigmoid"),
    layer("Conv2DTranspose", "up", filters=4, kernel_size=3, strides=2, padding="same"),
    merge("Concatenate", "skip", ["down", "up"]),
    layer("Conv2D", "mask", filters=1, kernel_size=1, activation="sigmoid"),
]
UPSAMPLER = [
    INPUT,
    layer("Conv2D", "down", filters=4, kernel_size=4, strides=2, padding="same"),
    layer("ReLU", "relu", max_value=6.0),
    layer("UpSampling2D", "nearest", size=2),
    layer("Conv2D", "middle", filters=2, kernel_size=2, padding="same"),
    merge("Add", "residual", ["middle", "image"]),
    layer("UpSampling2D", "bilinear", size=[2, 3], interpolation="bilinear"),
    layer("Conv2D", "out", filters=1, kernel_size=1),
]

SHARED = [
    layer("InputLayer", "image", batch_input_shape=[None, 12, 10, 2]),
    layer("Conv2D", "conv", filters=2, kernel_size=3, padding="same") | {"inbound_nodes": ["image"]},
    layer("BatchNormalization", "norm", momentum=0.7)
    | {"inbound_nodes": [[["image", 0, 0, {}]], [["conv", 0, 0, {}]]]},
    merge("Add", "sum", ["norm"]) | {"inbound_nodes": [[["norm", 0, 0, {}], ["norm", 1, 0, {}]]]},
    layer("Conv2D", "out", filters=1, kernel_size=1) | {"inbound_nodes": ["sum"]},
]

CASES: dict[str, tuple[list[dict[str, object]], Loss, tuple[int, ...]]] = {
    "classifier with dropout and batch normalization": (CLASSIFIER, NegativeLogLikelihood(), (8,)),
    "weighted classes, one of them ignored": (CLASSIFIER, NegativeLogLikelihood((1.0, 2.0, 0.5, 3.0, 1.0), 3), (8,)),
    "frozen convolution and normalization": (FROZEN, NegativeLogLikelihood(), (8,)),
    "segmentation behind a sigmoid": (SEGMENTER, BinaryCrossEntropy(), (8, 1, 12, 10)),
    "logits": (UPSAMPLER, BinaryCrossEntropyWithLogits(), (8, 1, 12 * 2, 10 * 3)),
    "a normalization that is called twice": (SHARED, MeanSquaredError(), (8, 1, 12, 10)),
    "regression": (UPSAMPLER, MeanSquaredError(), (8, 1, 12 * 2, 10 * 3)),
}


def graph_of(layers: list[dict[str, object]], folder: Path) -> TrainableGraph:
    path = folder / "network.json"
    path.write_text(json.dumps(layers))
    return TrainableGraph.from_model(converters.convert(path, seed=1), str(path))


def batches(target_shape: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(7)
    made = []
    for _ in range(STEPS):
        inputs = torch.randn(target_shape[0], 2, 12, 10, generator=generator)
        if len(target_shape) == 1:
            made.append((inputs, torch.randint(5, target_shape, generator=generator)))
        else:
            made.append((inputs, torch.rand(target_shape, generator=generator)))
    return made


def train(
    engine_name: str, graph: TrainableGraph, loss: Loss, target_shape: tuple[int, ...]
) -> tuple[list[float], object]:
    engine = create_engine(engine_name, graph, loss, seed=3, kernels=TORCH_KERNELS)
    optimizer = create_optimizer(SGDConfig(learning_rate=0.05, momentum=0.9), engine.parameters, engine.gradients)
    losses = []
    for number, (inputs, targets) in enumerate(batches(target_shape)):
        losses.append(engine.step(inputs, targets, number=number).loss.item())
        optimizer.step()
    return losses, engine


@pytest.mark.parametrize(("layers", "loss", "target_shape"), CASES.values(), ids=CASES)
def test_both_engines_train_alike(
    layers: list[dict[str, object]], loss: Loss, target_shape: tuple[int, ...], tmp_path: Path
) -> None:
    graph = graph_of(layers, tmp_path)
    ort_losses, ort = train("ort", graph, loss, target_shape)
    torch_losses, oracle = train("torch", graph, loss, target_shape)
    assert ort_losses == pytest.approx(torch_losses, rel=TOLERANCE)
    assert ort.gradients.flat.abs().max() > 0  # type: ignore[attr-defined]
    inputs = torch.randn(5, 2, 12, 10, generator=torch.Generator().manual_seed(8))
    for ours, theirs in (
        (ort.predict(inputs), oracle.predict(inputs)),  # type: ignore[attr-defined]
        (ort.statistics.flat, oracle.statistics.flat),  # type: ignore[attr-defined]
        (ort.parameters.flat, oracle.parameters.flat),  # type: ignore[attr-defined]
    ):
        # By length and not by element: where rounding turns a ReLU or another cell wins a MaxPool, few gradients jump.
        assert torch.linalg.vector_norm(ours - theirs) <= WEIGHT_TOLERANCE * torch.linalg.vector_norm(theirs)


@pytest.mark.parametrize("engine_name", ["ort", "torch"])
def test_gradients_are_those_of_finite_differences(engine_name: str, tmp_path: Path) -> None:
    graph = graph_of(SEGMENTER, tmp_path)
    engine = create_engine(engine_name, graph, BinaryCrossEntropy(), seed=3)
    inputs, targets = batches((8, 1, 12, 10))[0]
    direction = torch.randn(engine.parameters.flat.shape, generator=torch.Generator().manual_seed(1))
    engine.step(inputs, targets, number=0)
    slope = float(torch.dot(engine.gradients.flat, direction))
    start, step, losses = engine.parameters.flat.clone(), 1e-2 / float(direction.norm()), []
    for sign in (1, -1):
        engine.parameters.flat.copy_(start + sign * step * direction)
        losses.append(engine.step(inputs, targets, number=0).loss.item())
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=2e-2)


@pytest.mark.parametrize("engine_name", ["ort", "torch"])
def test_an_engine_trains_like_the_same_network_written_in_torch(engine_name: str, tmp_path: Path) -> None:
    layers = [
        INPUT,
        layer("Conv2D", "a", filters=4, kernel_size=3, padding="same"),
        layer("BatchNormalization", "b", momentum=0.9, epsilon=0.01),
        layer("ReLU", "r"),
        layer("Conv2D", "c", filters=1, kernel_size=3, padding="same"),
    ]
    graph = graph_of(layers, tmp_path)
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in graph.parameters.items()}
    oracle = torch.optim.Adam(weights.values(), lr=0.01)
    mean, variance = torch.zeros(4), torch.ones(4)
    engine = create_engine(engine_name, graph, MeanSquaredError(), seed=0, kernels=TORCH_KERNELS)
    optimizer = create_optimizer(AdamConfig(learning_rate=0.01), engine.parameters, engine.gradients)
    for number, (inputs, targets) in enumerate(batches((8, 1, 12, 10))):
        x = F.conv2d(inputs, weights["a.weight"], weights["a.bias"], padding=1)
        y = F.batch_norm(x, None, None, weights["b.weight"], weights["b.bias"], training=True, eps=0.01)
        y = F.conv2d(F.relu(y), weights["c.weight"], weights["c.bias"], padding=1)
        expected = F.mse_loss(y, targets)
        oracle.zero_grad()
        expected.backward()
        oracle.step()
        batch_mean, batch_variance = x.mean((0, 2, 3)).detach(), x.var((0, 2, 3), correction=0).detach()
        mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
        assert engine.step(inputs, targets, number=number).loss.item() == pytest.approx(expected.item(), rel=TOLERANCE)
        optimizer.step()
    torch.testing.assert_close(engine.statistics.views["b.running_var"], variance, rtol=1e-3, atol=1e-4)


def test_dropout_masks_depend_on_seed_step_and_layer_only() -> None:
    from onnxgrid.engines.kernels import KERNELS

    def mask(seed: int, step: int, name: str) -> torch.Tensor:
        position = torch.tensor([seed, step, 0, 50, 50, 1])
        (made,) = KERNELS["dropout_mask"](torch.ones(50, 40), position, rate=0.25, name=name)
        return made

    assert torch.equal(mask(1, 2, "drop"), mask(1, 2, "drop"))
    for other in (mask(2, 2, "drop"), mask(1, 3, "drop"), mask(1, 2, "drop_2")):
        assert not torch.equal(mask(1, 2, "drop"), other)
    values, counts = mask(1, 2, "drop").unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.75]))
    assert counts[0].item() / 2000 == pytest.approx(0.25, abs=0.03)  # three standard deviations of 2000 draws


def test_the_zoo_trains_alike_on_both_engines(tmp_path: Path) -> None:
    path = tmp_path / "unet.json"
    path.write_text(json.dumps(zoo.unet2d((16, 16, 1), depth=2)))
    graph = TrainableGraph.from_model(converters.convert(path), str(path))
    inputs = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    losses: dict[str, list[float]] = {}
    for name in ("ort", "torch"):
        engine = create_engine(name, graph, MeanSquaredError(), seed=0, kernels=TORCH_KERNELS)
        optimizer = create_optimizer(SGDConfig(learning_rate=0.1), engine.parameters, engine.gradients)
        losses[name] = []
        for number in range(5):
            losses[name].append(engine.step(inputs, 1 - inputs, number=number).loss.item())
            optimizer.step()
    assert losses["ort"] == pytest.approx(losses["torch"], rel=TOLERANCE)
    assert losses["ort"][-1] < losses["ort"][0]


def test_calls_of_a_shared_normalization_update_its_statistics_in_turn(tmp_path: Path) -> None:
    engine = create_engine("ort", graph_of(SHARED, tmp_path), MeanSquaredError(), seed=0)
    inputs, targets = batches((8, 1, 12, 10))[0]
    conv = F.conv2d(inputs, engine.parameters.views["conv.weight"], engine.parameters.views["conv.bias"], padding=1)
    engine.step(inputs, targets, number=0)
    first = 0.3 * inputs.mean((0, 2, 3))
    torch.testing.assert_close(engine.statistics.views["norm.running_mean"], 0.7 * first + 0.3 * conv.mean((0, 2, 3)))


@pytest.mark.parametrize("engine_name", ["ort", "torch"])
def test_the_memory_order_of_a_batch_makes_no_difference(engine_name: str, tmp_path: Path) -> None:
    graph = graph_of(UPSAMPLER, tmp_path)
    inputs, targets = batches((8, 1, 24, 30))[0]
    losses = []
    for move in (torch.clone, lambda x: x.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)):
        engine = create_engine(engine_name, graph, MeanSquaredError(), seed=0, kernels=TORCH_KERNELS)
        losses.append(engine.step(move(inputs), move(targets), number=0).loss.item())
    assert losses[0] == losses[1]


LONG_RUNS = {
    "a U-Net": SEGMENTER,
    "a depthwise network": [
        INPUT,
        layer("SeparableConv2D", "first", filters=8, kernel_size=3, padding="same", depth_multiplier=2),
        layer("BatchNormalization", "norm"),
        layer("ReLU", "relu"),
        layer("DepthwiseConv2D", "second", kernel_size=[3, 5], strides=[2, 2], padding="same"),
        layer("UpSampling2D", "up", size=2, interpolation="bilinear"),
        layer("Conv2D", "mask", filters=1, kernel_size=1, activation="sigmoid"),
    ],
}


@pytest.mark.parametrize("layers", LONG_RUNS.values(), ids=LONG_RUNS)
def test_two_hundred_steps_go_the_same_way_on_both_engines(layers: list[dict[str, object]], tmp_path: Path) -> None:
    graph, losses = graph_of(layers, tmp_path), {}
    data = batches((8, 1, 12, 10))
    for name in ("ort", "torch"):
        engine = create_engine(name, graph, BinaryCrossEntropy(), seed=3, kernels=TORCH_KERNELS)
        optimizer = create_optimizer(AdamConfig(learning_rate=0.003), engine.parameters, engine.gradients)
        losses[name] = []
        for number in range(200):
            inputs, targets = data[number % len(data)]
            losses[name].append(engine.step(inputs, targets, number=number).loss.item())
            optimizer.step()
    assert losses["ort"] == pytest.approx(losses["torch"], rel=1e-3)
    assert sum(losses["ort"][-20:]) < sum(losses["ort"][:20])


@pytest.mark.parametrize("each", [1, 3], ids=["a row a sample", "three rows a sample"])
def test_dropout_masks_of_parts_are_parts_of_the_whole_ones(each: int) -> None:
    from onnxgrid.engines.kernels import dropout_mask

    def mask(first: int, rows: int) -> torch.Tensor:
        position = torch.tensor([1, 2, first, rows, 7, 1])
        return dropout_mask(torch.ones(rows * each, 5), position, rate=0.5, name="drop")[0]

    assert torch.equal(torch.cat([mask(0, 2), mask(2, 4), mask(6, 1)]), mask(0, 7))
