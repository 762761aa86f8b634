"""Checkpoints: whole or not there at all, and what is said of one that does not belong to the run."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import converters
from converters.weights import read_weights
from onnxgrid.config.optimizer import OptimizerConfig, SGDConfig
from onnxgrid.engines import create_engine
from onnxgrid.engines.engine import Engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.errors import ConfigError, WorkFailed
from onnxgrid.losses import MeanSquaredError
from onnxgrid.optimizers import create_optimizer
from onnxgrid.training.checkpoints import (
    Checkpoint,
    RunState,
    newest_checkpoint,
    restore_optimizer,
    restore_weights,
    save_checkpoint,
)

STATE = RunState(epoch=3, step=12, seed=5, seconds=1.5, engine="torch")
MOMENTUM = SGDConfig(learning_rate=0.1, momentum=0.9)


def network(folder: Path, *, filters: int = 3, name: str = "conv", trainable: bool = True) -> ir.Model:
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 6, 5, 2]}},
        {
            "class_name": "Conv2D",
            "config": {"name": name, "filters": filters, "kernel_size": 3, "padding": "same", "trainable": trainable},
        },
        {"class_name": "BatchNormalization", "config": {"name": "norm", "scale": False}},
        {"class_name": "Conv2D", "config": {"name": "out", "filters": 2, "kernel_size": 1}},
    ]
    path = folder / "net.json"
    path.write_text(json.dumps(layers))
    return converters.convert(path, seed=1)


class Trained:
    """A network after two steps."""

    def __init__(self, model: ir.Model, config: OptimizerConfig = MOMENTUM, engine: str = "torch") -> None:
        self.model, self.has_saved = model, False
        self.engine: Engine = create_engine(
            engine, TrainableGraph.from_model(model, "net.json"), MeanSquaredError(), seed=0
        )
        self.optimizer = create_optimizer(config, self.engine.parameters, self.engine.gradients)
        x = torch.rand(4, 2, 6, 5, generator=torch.Generator().manual_seed(0))
        for number in range(2):
            self.engine.step(x, x, number=number)
            self.optimizer.step()

    def save(self, folder: Path, epoch: int = STATE.epoch) -> Path:
        first_of_run, self.has_saved = not self.has_saved, True
        return save_checkpoint(
            folder,
            replace(STATE, epoch=epoch),
            self.model,
            self.engine,
            self.optimizer,
            settings={"data.batch_size": 4},
            first_of_run=first_of_run,
        )


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    return Trained(network(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "ck"


def read(folder: Path) -> Checkpoint:
    checkpoint = newest_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint


def test_a_pair_has_these_names_and_nothing_else_is_left(trained: Trained, folder: Path) -> None:
    assert trained.save(folder) == folder / "model_checkpoint_3.onnx"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints.json",
        "model_checkpoint_3.onnx",
        "model_checkpoint_3.pt",
    ]


def test_both_files_of_a_pair_hold_the_engines_weights(trained: Trained, folder: Path) -> None:
    path = trained.save(folder)
    expected = {**trained.engine.parameters.views, **trained.engine.statistics.views}
    for file in (path, path.with_suffix(".pt")):
        weights = read_weights(file)
        assert set(weights) == set(expected)
        for name, weight in weights.items():
            assert torch.equal(torch.from_numpy(weight.read().copy()), expected[name].detach()), name


def test_the_deployed_model_differs_from_the_network_in_its_weights_alone(trained: Trained, folder: Path) -> None:
    saved, network_model = onnx.load(trained.save(folder)), ir.to_proto(trained.model)
    onnx.checker.check_model(saved, full_check=True)
    names = [initializer.name for initializer in saved.graph.initializer]
    assert names == [initializer.name for initializer in network_model.graph.initializer]
    for model in (saved, network_model):
        del model.graph.initializer[:]
    assert saved.graph == network_model.graph
    assert saved.metadata_props == network_model.metadata_props


@pytest.mark.parametrize("engine", ["ort", "torch"])
def test_the_deployed_model_in_a_plain_session_gives_what_the_engine_predicts(
    engine: str, folder: Path, tmp_path: Path
) -> None:
    trained = Trained(network(tmp_path), engine=engine)
    x = torch.rand(7, 2, 6, 5, generator=torch.Generator().manual_seed(3))
    session = onnxruntime.InferenceSession(trained.save(folder))
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(outputs, trained.engine.predict(x).numpy(), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_gives_back_all_that_was_saved(trained: Trained, folder: Path) -> None:
    trained.save(folder)
    checkpoint = read(folder)
    assert checkpoint.path == folder / "model_checkpoint_3.pt"
    assert checkpoint.state == STATE
    model = restore_weights(checkpoint, trained.model)
    for name, view in {**trained.engine.parameters.views, **trained.engine.statistics.views}.items():
        tensor = model.graph.initializers[name].const_value
        assert tensor is not None
        assert torch.equal(torch.from_numpy(tensor.numpy()), view.detach()), name


def test_the_optimizer_goes_on_where_it_was(trained: Trained, folder: Path, tmp_path: Path) -> None:
    trained.save(folder)
    resumed = Trained(network(tmp_path))
    resumed.engine.parameters.flat.copy_(trained.engine.parameters.flat)
    resumed.optimizer.state.clear()
    restore_optimizer(read(folder), resumed.optimizer)
    for each in (trained, resumed):
        each.engine.gradients.flat.fill_(0.5)
        each.optimizer.step()
    assert torch.equal(trained.engine.parameters.flat, resumed.engine.parameters.flat)


def test_the_newest_of_the_run_is_taken_though_an_earlier_run_came_further(trained: Trained, folder: Path) -> None:
    for epoch in (2, 9, 10):
        trained.save(folder, epoch)
    assert read(folder).state.epoch == 10
    again = Trained(trained.model)
    for epoch in (1, 2):
        again.save(folder, epoch)
        assert read(folder).state.epoch == epoch


def test_without_the_list_the_highest_number_is_taken(trained: Trained, folder: Path) -> None:
    for epoch in (2, 9, 10):
        trained.save(folder, epoch)
    (folder / "checkpoints.json").unlink()
    assert read(folder).state.epoch == 10


def test_a_broken_list_is_named(trained: Trained, folder: Path) -> None:
    trained.save(folder)
    (folder / "checkpoints.json").write_text("[1")
    with pytest.raises(ConfigError) as caught:
        newest_checkpoint(folder)
    assert str(caught.value) == (
        f"{folder}/checkpoints.json: is not a list of epochs that onnxgrid train wrote\n"
        "  Delete it: the checkpoint of the highest number in the folder is then the newest."
    )


def test_weights_that_are_not_finite_are_not_saved(trained: Trained, folder: Path) -> None:
    trained.save(folder, 1)
    trained.engine.parameters.flat[0] = float("inf")
    with pytest.raises(WorkFailed) as caught:
        trained.save(folder, 2)
    assert str(caught.value) == (
        "The weights are not finite after epoch 2; they are not saved.\n"
        "  Lower optimizer.learning_rate, and go on from the last checkpoint with --resume."
    )
    assert read(folder).state.epoch == 1


@pytest.mark.parametrize("exists", [True, False])
def test_without_checkpoints_there_is_none(folder: Path, exists: bool) -> None:
    if exists:
        folder.mkdir(parents=True)
        (folder / "model_checkpoint_x.pt").write_bytes(b"")
    assert newest_checkpoint(folder) is None


def test_a_pt_without_its_onnx_is_no_checkpoint(
    trained: Trained, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained.save(folder, 1)
    trained.save(folder, 2).unlink()
    assert read(folder).state.epoch == 1
    assert not caplog.messages


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "foreign":
        torch.save({"weight": torch.zeros(2)}, path)
    elif how == "incomplete":
        torch.save({"format": "onnxgrid-checkpoint", "version": 1, "epoch": 2, "seed": 0, "model": {}}, path)
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"not a checkpoint"}[how])


UNREADABLE = "it is cut off, or another kind of file"
DAMAGES = {
    "cut": UNREADABLE,
    "empty": UNREADABLE,
    "text": UNREADABLE,
    "foreign": "it was not written by onnxgrid train",
    "incomplete": "it lacks engine, optimizer, seconds, settings, step",
}


@pytest.mark.parametrize(("how", "reason"), DAMAGES.items(), ids=DAMAGES)
def test_an_older_checkpoint_is_taken_with_a_warning_where_the_newest_is_damaged(
    trained: Trained, folder: Path, how: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    trained.save(folder, 1)
    damaged = trained.save(folder, 2).with_suffix(".pt")
    damage(damaged, how)
    with caplog.at_level(logging.WARNING):
        assert read(folder).state.epoch == 1
    assert caplog.messages == [f"{damaged} is not a whole checkpoint ({reason}); looking for an older one."]


def test_all_damaged_is_as_good_as_none(trained: Trained, folder: Path) -> None:
    damage(trained.save(folder).with_suffix(".pt"), "cut")
    assert newest_checkpoint(folder) is None


@pytest.mark.parametrize("renames", [0, 1, 2], ids=["before the list", "before the model", "between the two"])
def test_a_kill_at_any_instant_leaves_the_earlier_pair_whole(
    trained: Trained, folder: Path, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.save(folder, 1)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    replace_file, done = os.replace, []

    def killed(source: str, target: str) -> None:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        trained.save(folder, 2)
    assert len(done) == renames
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after[name] for name in before if name != "checkpoints.json"} == {
        name: content for name, content in before.items() if name != "checkpoints.json"
    }
    assert set(after) - set(before) == ({"model_checkpoint_2.onnx"} if renames == 2 else set())
    assert read(folder).state.epoch == 1


def test_a_checkpoint_of_another_network_is_refused(trained: Trained, folder: Path, tmp_path: Path) -> None:
    trained.save(folder)
    with pytest.raises(ConfigError) as caught:
        restore_weights(read(folder), network(tmp_path, name="other", filters=3))
    assert str(caught.value) == (
        f"{folder}/model_checkpoint_3.pt: the checkpoint is not of this network\n"
        "  conv.bias: (3,) in the checkpoint, absent in the network\n"
        "  conv.weight: (3, 2, 3, 3) in the checkpoint, absent in the network\n"
        "  other.bias: absent in the checkpoint, (3,) in the network\n"
        "  other.weight: absent in the checkpoint, (3, 2, 3, 3) in the network\n"
        "  Resume with the network the run began with; checkpoints.load carries weights to another."
    )


def test_a_checkpoint_of_another_shape_is_refused(trained: Trained, folder: Path, tmp_path: Path) -> None:
    trained.save(folder)
    with pytest.raises(ConfigError) as caught:
        restore_weights(read(folder), network(tmp_path, filters=4))
    assert str(caught.value) == (
        f"{folder}/model_checkpoint_3.pt: the checkpoint is not of this network\n"
        "  conv.bias: (3,) in the checkpoint, (4,) in the network\n"
        "  conv.weight: (3, 2, 3, 3) in the checkpoint, (4, 2, 3, 3) in the network\n"
        "  norm.bias: (3,) in the checkpoint, (4,) in the network\n"
        "  norm.running_mean: (3,) in the checkpoint, (4,) in the network\n"
        "  norm.running_var: (3,) in the checkpoint, (4,) in the network\n"
        "  out.weight: (2, 3, 1, 1) in the checkpoint, (2, 4, 1, 1) in the network\n"
        "  Resume with the network the run began with; checkpoints.load carries weights to another."
    )


OTHERS: dict[str, tuple[OptimizerConfig, bool, str]] = {
    "other layers frozen": (MOMENTUM, False, "its state has another size"),
}


@pytest.mark.parametrize(("config", "trainable", "reason"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_another_optimizer_is_refused(
    trained: Trained, folder: Path, tmp_path: Path, config: OptimizerConfig, trainable: bool, reason: str
) -> None:
    trained.save(folder)
    other = Trained(network(tmp_path, trainable=trainable), config)
    with pytest.raises(ConfigError) as caught:
        restore_optimizer(read(folder), other.optimizer)
    assert str(caught.value) == (
        f"{folder}/model_checkpoint_3.pt: the checkpoint does not fit the optimizer of this run ({reason})\n"
        "  Resume with the optimizer and the frozen layers the run began with."
    )


def test_another_learning_rate_is_no_other_optimizer(trained: Trained, folder: Path, tmp_path: Path) -> None:
    trained.save(folder)
    restore_optimizer(read(folder), Trained(network(tmp_path), SGDConfig(learning_rate=0.5, momentum=0.9)).optimizer)
