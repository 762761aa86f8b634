"""Moments of the optimizer, between checkpoints of `onnxgrid train`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import converters
import onnxgrid
from converters.errors import WeightFileError
from onnxgrid.config.optimizer import AdamConfig, SGDConfig
from onnxgrid.engines import create_engine
from onnxgrid.engines.engine import FlatTensors
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from onnxgrid.optimizers import create_optimizer
from onnxgrid.training.checkpoints import (
    RunState,
    newest_checkpoint,
    restore_optimizer,
    restore_weights,
    save_checkpoint,
)
from onnxgrid.transplant.rules import TransplantRules

ADAM = AdamConfig(learning_rate=0.05, amsgrad=True)
MOMENTUM = SGDConfig(learning_rate=0.1, momentum=0.9)
STATE = RunState(epoch=1, step=0, seed=0, seconds=0.0, engine="torch")


class Training:
    """A small network in training on the torch engine."""

    def __init__(self, folder, *, kernel=3, filters=3, last="out", config=ADAM, frozen=False, seed=1):
        folder.mkdir()
        layers = [
            {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 6, 5, 2]}},
            {
                "class_name": "Conv2D",
                "config": {"name": "conv", "filters": filters, "kernel_size": kernel, "padding": "same"},
            },
            {"class_name": "BatchNormalization", "config": {"name": "norm", "trainable": not frozen}},
            {"class_name": "Conv2D", "config": {"name": last, "filters": 2, "kernel_size": 1}},
        ]
        (folder / "net.json").write_text(json.dumps(layers))
        self.folder, self.config = folder, config
        self.start(converters.convert(folder / "net.json", seed=seed))

    def start(self, model):
        self.model = model
        self.engine = create_engine("torch", TrainableGraph.from_model(model, "net.json"), MeanSquaredError(), seed=0)
        self.optimizer = create_optimizer(self.config, self.engine.parameters, self.engine.gradients)

    def steps(self, *numbers):
        for number in numbers:
            x = torch.rand(4, 2, 6, 5, generator=torch.Generator().manual_seed(number))
            self.engine.step(x, x, number=number)
            self.optimizer.step()
        return self

    def save(self):
        state = replace(STATE, step=3)
        path = save_checkpoint(
            self.folder, state, self.model, self.engine, self.optimizer, settings={}, first_of_run=True
        )
        return path.with_suffix(".pt")

    def resume(self):
        checkpoint = newest_checkpoint(self.folder)
        self.start(restore_weights(checkpoint, self.model))
        restore_optimizer(checkpoint, self.optimizer)
        return self


def moments(path):
    """Optimizer's state by kind and parameter, and the count of steps."""
    content = torch.load(path, weights_only=True)
    state = content["optimizer"]["state"][0]
    shapes = {name: tuple(content["model"][name].shape) for name in content["trainable"]}
    found = {}
    for kind, flat in state.items():
        if kind != "step" and flat is not None:
            tensors = FlatTensors(shapes, torch.device("cpu"))
            tensors.flat.copy_(flat)
            found[kind] = tensors.arrays()
    return found, float(state.get("step", 0))


@pytest.mark.parametrize("config", [ADAM, MOMENTUM], ids=["Adam", "momentum"])
def test_training_goes_on_from_the_result_as_the_source_would_have(tmp_path, config):
    source = Training(tmp_path / "a", config=config).steps(0, 1, 2)
    target = Training(tmp_path / "b", config=config, seed=2).steps(3, 4)
    path = target.save()
    report = onnxgrid.transplant(source.save(), path, path, in_place=True, strict=True)
    assert set(report.moments) == set(source.engine.parameters.views)
    assert report.summary().endswith(f"; optimizer moments of {len(report.moments)} parameters")
    target.resume().steps(5, 6)
    source.steps(5, 6)
    assert torch.equal(target.engine.parameters.flat, source.engine.parameters.flat)


def test_a_checkpoint_is_one_file_whatever_is_asked_for(tmp_path):
    source, target, out = Training(tmp_path / "a").save(), Training(tmp_path / "b").save(), tmp_path / "out.pt"
    with pytest.raises(WeightFileError) as error:
        onnxgrid.transplant(source, target, out, max_shard_bytes=100)
    assert str(error.value) == (
        f"{out}: is one file, whose size has no limit\n"
        "  Name an index (.safetensors.index.json) to write several files."
    )
    assert not out.exists()


def test_moments_are_adapted_as_their_weights(tmp_path):
    source = Training(tmp_path / "a").steps(0, 1, 2).save()
    target = Training(tmp_path / "b", kernel=5, filters=4).steps(0, 1).save()
    rules = TransplantRules.parse(adapt=["interpolate", "slice-pad"])
    onnxgrid.transplant(source, target, tmp_path / "out.pt", rules, strict=True)
    (before, _), (held, _), (after, steps) = moments(source), moments(target), moments(tmp_path / "out.pt")
    assert steps == 3
    weight, bias = "conv.weight", "conv.bias"
    np.testing.assert_allclose(
        after["exp_avg"][weight][:3].sum(axis=(2, 3)), before["exp_avg"][weight].sum(axis=(2, 3)), atol=1e-7
    )
    for kind in ("exp_avg_sq", "max_exp_avg_sq"):
        assert all((values >= 0).all() for values in after[kind].values())
        np.testing.assert_allclose(after[kind][bias][:3], before[kind][bias], rtol=1e-6)
        np.testing.assert_allclose(after[kind][bias][3], held[kind][bias][3], rtol=1e-6)


def test_moments_that_the_target_keeps_stand_for_the_same(tmp_path):
    source = Training(tmp_path / "a").steps(0, 1, 2).save()
    target = Training(tmp_path / "b", last="head").steps(*range(6)).save()
    report = onnxgrid.transplant(source, target, tmp_path / "out.pt")
    assert "head.weight" not in report.moments
    (held, before), (after, now) = moments(target), moments(tmp_path / "out.pt")
    assert (before, now) == (6, 3)
    for kind, beta in (("exp_avg", 0.9), ("exp_avg_sq", 0.999)):
        corrected = [
            values[kind]["head.weight"] / (1 - beta**steps) for values, steps in ((held, before), (after, now))
        ]
        np.testing.assert_allclose(corrected[1], corrected[0], rtol=1e-5)


def test_all_else_in_the_checkpoint_stays(tmp_path):
    source, target = Training(tmp_path / "a").steps(0).save(), Training(tmp_path / "b").steps(1, 2).save()
    onnxgrid.transplant(source, target, tmp_path / "out.pt", TransplantRules.parse(only=["conv"]))
    before, after = (torch.load(path, weights_only=True) for path in (target, tmp_path / "out.pt"))
    assert {key: before[key] for key in before.keys() - {"model", "optimizer"}} == {
        key: after[key] for key in after.keys() - {"model", "optimizer"}
    }
    assert before["optimizer"]["param_groups"] == after["optimizer"]["param_groups"]
    changed = {name for name in before["model"] if not torch.equal(before["model"][name], after["model"][name])}
    assert changed == {"conv.weight", "conv.bias"}


def without_names(path):
    content = torch.load(path, weights_only=True)
    del content["trainable"]
    torch.save(content, path)
    return path


def test_earlier_checkpoints_do_not_list_their_parameters(tmp_path, caplog):
    source, target = Training(tmp_path / "a").steps(0).save(), Training(tmp_path / "b").steps(1).save()
    report = onnxgrid.transplant(without_names(source), target, tmp_path / "out.pt")
    assert len(report.moments) == 6
    frozen = without_names(Training(tmp_path / "c", frozen=True).steps(0).save())
    report = onnxgrid.transplant(frozen, target, tmp_path / "out.pt")
    assert report.moments == ()
    assert caplog.messages == [f"{frozen} does not say whose the optimizer's moments are: they are not carried"]


def test_moments_of_another_optimizer_are_not_carried(tmp_path, caplog):
    source = Training(tmp_path / "a").steps(0).save()
    target = Training(tmp_path / "b", config=MOMENTUM).steps(1).save()
    report = onnxgrid.transplant(source, target, tmp_path / "out.pt")
    assert report.moments == ()
    assert moments(tmp_path / "out.pt")[0]["momentum_buffer"].keys() == moments(target)[0]["momentum_buffer"].keys()
    assert caplog.messages == [f"{source} and {target} are of different optimizers: moments are not carried"]


def test_a_state_dict_gives_weights_and_no_moments(tmp_path):
    target = Training(tmp_path / "b").steps(1, 2)
    path = target.save()
    torch.save(torch.load(path, weights_only=True)["model"], tmp_path / "state.pt")
    report = onnxgrid.transplant(tmp_path / "state.pt", path, tmp_path / "out.pt", strict=True)
    assert report.moments == ()
    assert moments(tmp_path / "out.pt")[1] == 2


def test_a_checkpoint_of_an_older_torch_goes_into_one_of_a_newer(tmp_path):
    torch.save({"a.weight": torch.ones(3, 2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"a.weight": torch.zeros(3, 2)}, tmp_path / "new.pt")
    for source, target in (("old.pth", "new.pt"), ("new.pt", "old.pth")):
        report = onnxgrid.transplant(tmp_path / source, tmp_path / target, tmp_path / "out.pt")
        assert report.moments == ()
        wanted = torch.load(tmp_path / source, weights_only=True)["a.weight"]
        assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True)["a.weight"], wanted)
