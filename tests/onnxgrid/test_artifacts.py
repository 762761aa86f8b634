"""The artifacts, loaded and trained by ONNX Runtime's own training API, against our engine with torch's optimizers."""

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.training import api

import converters
from onnxgrid.artifacts import LOSSES, ArtifactLoss, ArtifactOptimizer, write_artifacts
from onnxgrid.engines import KernelChoice, KernelOptions, create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError

STEPS, TOLERANCE = 12, 1e-4

INPUT = {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 12, 10, 2]}}


def layer(class_name: str, name: str, **config: object) -> dict[str, object]:
    return {"class_name": class_name, "config": {"name": name, **config}}


CLASSIFIER = [
    INPUT,
    layer("Conv2D", "conv", filters=6, kernel_size=[3, 5], strides=[2, 2], padding="same", activation="relu"),
    layer("DepthwiseConv2D", "depth", kernel_size=3, padding="same", depth_multiplier=2),
    layer("BatchNormalization", "norm", trainable=False),
    layer("MaxPooling2D", "pool", pool_size=2),
    layer("Flatten", "flat"),
    layer("Dense", "hidden", units=8, activation="tanh"),
    layer("Dense", "classes", units=5, activation="log_softmax"),
]
REGRESSION = [
    INPUT,
    layer("Conv2D", "first", filters=4, kernel_size=3, padding="same", activation="sigmoid"),
    layer("Conv2D", "second", filters=1, kernel_size=3, padding="same"),
]
DROPPING = [
    INPUT,
    layer("Conv2D", "conv", filters=4, kernel_size=3),
    layer("Dropout", "drop", rate=0.5),
    layer("Flatten", "flat"),
    layer("Dense", "out", units=1),
]
UNDIFFERENTIABLE = [
    INPUT,
    layer("Conv2D", "conv", filters=4, kernel_size=3, activation="elu"),
    layer("BatchNormalization", "norm"),
    layer("AveragePooling2D", "pool", pool_size=2),
    layer("Conv2DTranspose", "up", filters=3, kernel_size=2),
    layer("SpatialDropout2D", "drop", rate=0.5),
]


def network(layers: list[dict[str, object]], folder: Path) -> Path:
    """The ONNX file of a layer list."""
    (folder / "net.json").write_text(json.dumps(layers))
    converters.save_model(converters.convert(folder / "net.json", seed=1), folder / "net.onnx")
    return folder / "net.onnx"


def open_module(folder: Path) -> tuple[api.Module, api.Optimizer]:
    state = api.CheckpointState.load_checkpoint(folder / "checkpoint")
    module = api.Module(folder / "training_model.onnx", state, folder / "eval_model.onnx", device="cpu")
    return module, api.Optimizer(folder / "optimizer_model.onnx", module)


class Sgd:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def step(self, parameters: torch.Tensor, gradients: torch.Tensor) -> None:
        parameters -= self.rate * gradients


class AdamW:
    """Adam as ONNX Runtime defines it: epsilon is added to the root of the moment as it is, not as it is corrected."""

    def __init__(self, rate: float) -> None:
        self.rate, self.count, self.first, self.second = rate, 0, torch.zeros(()), torch.zeros(())

    def step(self, parameters: torch.Tensor, gradients: torch.Tensor) -> None:
        self.count += 1
        self.first = 0.9 * self.first + 0.1 * gradients
        self.second = 0.999 * self.second + 0.001 * gradients**2
        rate = self.rate * (1 - 0.999**self.count) ** 0.5 / (1 - 0.9**self.count)
        parameters -= rate * self.first / (self.second.sqrt() + 1e-6)


RUNS = {
    "classes, SGD": (CLASSIFIER, ArtifactLoss.NLL, ArtifactOptimizer.SGD),
    "classes, AdamW": (CLASSIFIER, ArtifactLoss.NLL, ArtifactOptimizer.ADAMW),
    "values, SGD": (REGRESSION, ArtifactLoss.MSE, ArtifactOptimizer.SGD),
    "values, AdamW": (REGRESSION, ArtifactLoss.MSE, ArtifactOptimizer.ADAMW),
    "logits, AdamW": (REGRESSION, ArtifactLoss.BCE_LOGITS, ArtifactOptimizer.ADAMW),
}


@pytest.mark.parametrize(("layers", "loss", "optimizer"), RUNS.values(), ids=RUNS)
def test_onnx_runtime_trains_the_artifacts_as_our_engine_trains_the_network(
    layers: list[dict[str, object]], loss: ArtifactLoss, optimizer: ArtifactOptimizer, tmp_path: Path
) -> None:
    path = network(layers, tmp_path)
    written = write_artifacts(path, tmp_path / "artifacts", loss=loss, optimizer=optimizer)
    assert sorted(file.name for file in written.folder.iterdir()) == sorted(written.files)
    graph = TrainableGraph.from_model(converters.convert(tmp_path / "net.json", seed=1), str(path))
    engine = create_engine("ort", graph, LOSSES[loss], seed=0, kernels=KernelOptions(KernelChoice.ATEN))
    assert written.parameters == tuple(graph.parameters)
    module, on_device = open_module(written.folder)
    rate = 0.1 if optimizer is ArtifactOptimizer.SGD else 0.01
    on_device.set_learning_rate(rate)
    ours = Sgd(rate) if optimizer is ArtifactOptimizer.SGD else AdamW(rate)
    random = torch.Generator().manual_seed(2)
    inputs = torch.randn(8, 2, 12, 10, generator=random)
    classes = torch.randint(5, (8,), generator=random)
    targets = classes if loss is ArtifactLoss.NLL else torch.rand(8, 1, 12, 10, generator=random)
    losses, expected = [], []
    module.train()
    for number in range(STEPS):
        found = module(inputs.numpy(), targets.numpy())
        losses.append(float(found[0] if isinstance(found, (list, tuple)) else found))
        on_device.step()
        module.lazy_reset_grad()
        expected.append(engine.step(inputs, targets, number=number).loss.item())
        ours.step(engine.parameters.flat, engine.gradients.flat)
    assert losses == pytest.approx(expected, rel=TOLERANCE)
    assert losses[-1] < losses[0]
    module.eval()
    found = module(inputs.numpy(), targets.numpy())
    evaluated = LOSSES[loss].in_torch(engine.predict(inputs), targets).item()
    assert float(found[0]) == pytest.approx(evaluated, rel=TOLERANCE)


def test_writing_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_artifacts(network(REGRESSION, tmp_path), tmp_path, loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.SGD)
    assert capfd.readouterr() == ("", "")


def test_what_is_written_can_be_read_by_onnx_runtime_1_19(tmp_path: Path) -> None:
    written = write_artifacts(
        network(REGRESSION, tmp_path), tmp_path, loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.ADAMW
    )
    for name in ("training_model.onnx", "eval_model.onnx", "optimizer_model.onnx"):
        assert onnx.load(written.folder / name).ir_version <= 10
    session = onnxruntime.InferenceSession(tmp_path / "eval_model.onnx")
    assert [value.name for value in session.get_inputs()] == ["image", "target", *written.parameters]
    assert [value.name for value in session.get_outputs()] == ["loss", "second"]


def test_dropout_drops_in_training_only(tmp_path: Path) -> None:
    onnxruntime.set_seed(1)  # each mask has the next seed, and 0 and 1 are the same to its minimal standard generator
    write_artifacts(network(DROPPING, tmp_path), tmp_path, loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.SGD)
    module, _ = open_module(tmp_path)
    x = torch.randn(4, 2, 12, 10, generator=torch.Generator().manual_seed(0)).numpy()
    y = torch.zeros(4, 1).numpy()
    losses: dict[bool, set[float]] = {True: set(), False: set()}
    for training in losses:
        module.train(training)
        for _ in range(4):
            losses[training].add(float(module(x, y)[0]))
            module.lazy_reset_grad()
    assert len(losses[True]) == 4
    assert len(losses[False]) == 1


def test_every_layer_that_prevents_it_is_named(tmp_path: Path) -> None:
    path = network(UNDIFFERENTIABLE, tmp_path)
    with pytest.raises(ConfigError) as caught:
        write_artifacts(path, tmp_path / "out", loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.SGD)
    assert str(caught.value) == (
        f"{path}: ONNX Runtime alone cannot train this network\n"
        "  layer 'conv', op ai.onnx::Elu: it has no gradient there\n"
        "  layer 'norm', op ai.onnx::BatchNormalization: its running statistics would not be updated; "
        'freeze it ("trainable": false)\n'
        "  layer 'pool', op ai.onnx::AveragePool: it has no gradient there\n"
        "  layer 'up', op ai.onnx::ConvTranspose: it has no gradient there\n"
        "  layer 'drop', op ai.onnx::Dropout: it drops whole channels, which ONNX's Dropout cannot\n"
        "  Train it with onnxgrid train, which brings torch's gradients, or replace these layers."
    )
    assert not (tmp_path / "out").exists()


def test_what_no_gradient_passes_through_prevents_nothing(tmp_path: Path) -> None:
    frozen = [
        INPUT,
        layer("Conv2D", "conv", filters=4, kernel_size=3, activation="elu", trainable=False),
        layer("AveragePooling2D", "pool", pool_size=2),
        layer("Conv2D", "out", filters=1, kernel_size=1),
    ]
    written = write_artifacts(
        network(frozen, tmp_path), tmp_path, loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.SGD
    )
    assert written.parameters == ("out.weight", "out.bias")


def test_grouped_convolutions_in_3d_are_refused(tmp_path: Path) -> None:
    volume = [
        {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 6, 5, 4, 4]}},
        layer("Conv3D", "conv", filters=4, kernel_size=2, groups=2),
    ]
    path = network(volume, tmp_path)
    with pytest.raises(ConfigError) as caught:
        write_artifacts(path, tmp_path / "out", loss=ArtifactLoss.MSE, optimizer=ArtifactOptimizer.SGD)
    assert str(caught.value) == (
        f"{path}: ONNX Runtime alone cannot train this network\n"
        "  layer 'conv', op ai.onnx::Conv: the gradient of several groups is broken there, in 1D and 3D\n"
        "  Train it with onnxgrid train, which brings torch's gradients, or replace these layers."
    )
