"""Whole runs of `onnxgrid.train` on small NumPy data: what is repeated, resumed, loaded, frozen and refused."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

import converters
import onnxgrid
from converters.weights import read_weights
from onnxgrid.cli.transplant import command as transplant_command
from onnxgrid.engines import KernelChoice
from onnxgrid.errors import ConfigError, TransplantError, WorkFailed
from onnxgrid.training.result import TrainingResult

ENGINES = ("ort", "torch")
RULE = "-" * 45

Json = dict[str, Any]


def layer(class_name: str, name: str, **config: Any) -> Json:
    return {"class_name": class_name, "config": {"name": name, **config}}


def network(size: int = 6, *, dense: str = "dense_6", frozen: tuple[str, ...] = ()) -> list[Json]:
    """A classifier of 3 classes with everything that must survive a resume: Dropout, BatchNormalization."""
    layers = [
        layer("InputLayer", "image", batch_input_shape=[None, size, size, 1]),
        layer("Conv2D", "conv", filters=4, kernel_size=3, padding="same", activation="relu"),
        layer("BatchNormalization", "norm"),
        layer("MaxPooling2D", "pool", pool_size=2),
        layer("Dropout", "drop", rate=0.25),
        layer("Flatten", "flat"),
        layer("Dense", dense, units=3, activation="log_softmax"),
    ]
    for each in layers:
        if each["config"]["name"] in frozen:
            each["config"]["trainable"] = False
    return layers


def write_samples(folder: Path, count: int, size: int = 6) -> None:
    """Images whose class is the third in which they are bright, and their labels."""
    random = np.random.default_rng(count)
    for side in ("x", "t"):
        (folder / side).mkdir(parents=True)
    for i in range(count):
        image, label = random.normal(size=(1, size, size)).astype(np.float32), i % 3
        image[:, label * size // 3 : (label + 1) * size // 3] += 2
        np.save(folder / "x" / f"{i:02}.npy", image)
        np.save(folder / "t" / f"{i:02}.npy", np.array(label))


def data(folder: str = "train", *, training: bool = True) -> Json:
    training_set = {"input_path": f"{folder}/x", "target_path": f"{folder}/t"} if training else {}
    return {
        "type": "numpy",
        **training_set,
        "test_input_path": "test/x",
        "test_target_path": "test/t",
        "batch_size": 8,
        "test_batch_size": 4,
    }


BASE: Json = {
    "layers": "net.json",
    "num_epochs": 4,
    "outfile": "out/run.txt",
    "data": data(),
    "optimizer": {"type": "SGD", "learning_rate": 0.05, "momentum": 0.9},
    "loss": {"function": "NLL"},
    "checkpoints": {"save": "ck"},
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples(Path("train"), 20)
    write_samples(Path("test"), 10)
    Path("net.json").write_text(json.dumps(network()))


def run(
    engine: str = "torch", log: Callable[[str], None] | None = None, options: Json | None = None, **changes: Any
) -> TrainingResult:
    """Train with `BASE`, changed; a key that becomes None is left out."""
    config = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    Path("run.json").write_text(json.dumps({"neural_network": config}))
    return onnxgrid.train("run.json", engine=engine, log=log or (lambda line: None), **(options or {}))


def log_of(engine: str = "torch", options: Json | None = None, **changes: Any) -> list[str]:
    lines: list[str] = []
    run(engine, lines.append, options, **changes)
    return lines


def weights(path: str | Path) -> dict[str, np.ndarray]:
    return {name: weight.read().copy() for name, weight in read_weights(Path(path)).items()}


def assert_same_bits(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert {name: array.tobytes() for name, array in left.items()} == {
        name: array.tobytes() for name, array in right.items()
    }


def assert_same(left: Any, right: Any) -> None:
    """Nested dicts and lists with the same tensors, bit for bit, and the same other values."""
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, list):
        for ours, theirs in zip(left, right, strict=True):
            assert_same(ours, theirs)
    else:
        assert left == right


def results(folder: str = "out") -> tuple[list[list[str]], list[list[str]]]:
    """Both result files, without their seconds."""
    train = [line.split() for line in Path(folder, "run_train.txt").read_text().splitlines()]
    test = [line.split() for line in Path(folder, "run_test.txt").read_text().splitlines()]
    return [[*row[:2], *row[3:]] for row in train], [[row[0], *row[2:]] for row in test]


def losses(result: TrainingResult) -> list[tuple[float | None, float | None, float | None]]:
    return [(epoch.train_loss, epoch.test_loss, epoch.accuracy) for epoch in result.epochs]


@pytest.mark.parametrize("engine", ENGINES)
def test_training_learns_what_can_be_learned(engine: str) -> None:
    result = run(engine, num_epochs=20)
    assert result.engine == engine
    assert [epoch.epoch for epoch in result.epochs] == list(range(1, 21))
    assert result.epochs[-1].accuracy is not None
    assert result.epochs[-1].accuracy >= 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_seed_gives_the_same_bits(engine: str) -> None:
    first, first_files = run(engine), results()
    second = run(engine, outfile="again/run.txt", checkpoints={"save": "again"})
    assert losses(first) == losses(second)
    assert first_files == results("again")
    for suffix in (".onnx", ".pt"):
        assert_same_bits(weights(f"ck/model_checkpoint_4{suffix}"), weights(f"again/model_checkpoint_4{suffix}"))
    assert Path("ck/model_checkpoint_4.onnx").read_bytes() == Path("again/model_checkpoint_4.onnx").read_bytes()


OPTIMIZERS: dict[str, Json] = {
    "momentum": BASE["optimizer"],
    "Adam with a schedule": {
        "type": "Adam",
        "learning_rate": 0.01,
        "lr_scheduler": {"type": "Exponential", "gamma": 0.5, "verbose": False},
    },
}


@pytest.mark.parametrize("interrupted", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_run_gives_the_bits_of_one_that_was_never_interrupted(
    engine: str, optimizer: Json, interrupted: int
) -> None:
    whole = run(engine, optimizer=optimizer)
    parts = {"outfile": "parts/run.txt", "checkpoints": {"save": "parts"}, "optimizer": optimizer}
    begun = run(engine, num_epochs=interrupted, **parts)
    resumed = run(engine, options={"resume": True}, **parts)
    assert losses(begun) + losses(resumed) == losses(whole)
    assert results() == results("parts")
    saved = [torch.load(f"{folder}/model_checkpoint_4.pt", weights_only=True) for folder in ("ck", "parts")]
    for part in ("model", "optimizer"):
        assert_same(saved[0].pop(part), saved[1].pop(part))
    assert {**saved[0], "seconds": None} == {**saved[1], "seconds": None}
    assert Path("ck/model_checkpoint_4.onnx").read_bytes() == Path("parts/model_checkpoint_4.onnx").read_bytes()
    assert resumed.epochs[0].seconds > begun.epochs[-1].seconds


def test_bf16_runs_give_the_same_bits_also_when_resumed() -> None:
    whole = run(options={"precision": "bf16"})
    parts = {"outfile": "parts/run.txt", "checkpoints": {"save": "parts"}}
    begun = run(num_epochs=2, options={"precision": "bf16"}, **parts)
    resumed = run(options={"resume": True}, **parts)  # in the precision that the run was begun in
    assert losses(begun) + losses(resumed) == losses(whole)
    assert Path("ck/model_checkpoint_4.onnx").read_bytes() == Path("parts/model_checkpoint_4.onnx").read_bytes()
    saved = torch.load("parts/model_checkpoint_4.pt", weights_only=True)
    assert (saved["precision"], saved["device"], saved["compile"]) == ("bf16", "cpu", False)
    assert {tensor.dtype for tensor in saved["model"].values() if tensor.is_floating_point()} == {torch.float32}
    assert losses(run(options={"precision": "fp32"}, checkpoints={"save": "full"})) != losses(whole)


def test_going_on_in_another_way_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    # What torch.compile makes of the steps is tested with the engine; here it only takes time.
    monkeypatch.setattr(torch, "compile", lambda program: program)
    run(num_epochs=1, options={"precision": "bf16"})
    with caplog.at_level(logging.WARNING):
        run(num_epochs=2, options={"resume": True, "precision": "fp32", "compile": True})
    assert caplog.messages == [
        "the run was begun in bf16; in fp32 its numbers differ",
        "the run was begun without --compile; with it its numbers differ in the last digits",
    ]


def test_going_on_on_another_device_is_told(caplog: pytest.LogCaptureFixture) -> None:
    run(num_epochs=1)
    path = Path("ck/model_checkpoint_1.pt")
    torch.save({**torch.load(path, weights_only=True), "device": "cuda"}, path)
    with caplog.at_level(logging.WARNING):
        run(num_epochs=2, options={"resume": True})
    assert caplog.messages == [
        "the run was begun on cuda; on cpu its dropout masks and the last digits of its numbers differ"
    ]


def test_a_checkpoint_from_before_there_were_precisions_goes_on_in_fp32() -> None:
    run(num_epochs=1)
    path = Path("ck/model_checkpoint_1.pt")
    saved = torch.load(path, weights_only=True)
    torch.save({key: saved[key] for key in saved if key not in ("device", "precision", "compile")}, path)
    resumed = run(num_epochs=2, options={"resume": True})
    assert [epoch.epoch for epoch in resumed.epochs] == [2]
    assert torch.load("ck/model_checkpoint_2.pt", weights_only=True)["precision"] == "fp32"


def test_bf16_goes_on_in_the_ort_engine() -> None:
    run(num_epochs=1, options={"precision": "bf16"})
    assert run("ort", num_epochs=2, options={"resume": True}).epochs[0].test_loss is not None
    assert torch.load("ck/model_checkpoint_2.pt", weights_only=True)["precision"] == "bf16"


def test_what_a_kill_left_behind_the_last_checkpoint_is_done_again() -> None:
    run(num_epochs=3, checkpoints={"save": "parts", "interval": 2}, outfile="parts/run.txt")
    Path("parts/model_checkpoint_3.pt").unlink()  # as if the kill had come before it was renamed
    lines = log_of(options={"resume": True}, checkpoints={"save": "parts"}, outfile="parts/run.txt")
    assert "Resuming after epoch 2 from file: parts/model_checkpoint_2.pt" in lines
    run()
    assert results("parts") == results()


def test_resuming_a_finished_run_trains_nothing() -> None:
    first = run()
    before, files = weights("ck/model_checkpoint_4.pt"), results()
    lines: list[str] = []
    second = run(log=lines.append, options={"resume": True})
    assert lines[-2:] == ["Nothing left to train: 4 of 4 epochs are done.", "All done (return value = 0). "]
    assert second == TrainingResult("torch", (), first.checkpoint)
    assert_same_bits(weights("ck/model_checkpoint_4.pt"), before)
    assert results() == files


def test_resuming_a_run_that_never_began_begins_it() -> None:
    assert losses(run(options={"resume": True})) == losses(run(checkpoints={"save": "other"}))


def test_a_resumed_run_can_be_prolonged() -> None:
    run(num_epochs=2)
    assert [epoch.epoch for epoch in run(options={"resume": True, "num_epochs": 3}).epochs] == [3]


def test_resuming_without_a_folder_of_checkpoints_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        run(options={"resume": True}, checkpoints=None)
    assert str(caught.value) == (
        "checkpoints.save: is missing, and --resume needs the folder that holds the checkpoints\n"
        "  Set checkpoints.save to that folder."
    )


def test_resuming_with_another_seed_is_refused() -> None:
    run(num_epochs=1, options={"seed": 3})
    run(num_epochs=2, options={"seed": 3, "resume": True})
    with pytest.raises(ConfigError) as caught:
        run(options={"seed": 4, "resume": True})
    assert str(caught.value) == (
        "ck/model_checkpoint_2.pt: the run was begun with seed 3, not 4\n  Leave --seed out, or give --seed 3."
    )


def test_resuming_with_another_engine_warns(caplog: pytest.LogCaptureFixture) -> None:
    run("torch", num_epochs=1)
    with caplog.at_level(logging.WARNING):
        result = run("ort", num_epochs=2, options={"resume": True})
    assert result.engine == "ort"
    assert caplog.messages == [
        "the run was begun with the torch engine; with ort its numbers differ in the last digits"
    ]


def test_a_resumed_run_goes_on_with_its_kernels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    native = {"kernel_choice": KernelChoice.NATIVE}
    whole = run("ort", options=native)
    parts = {"outfile": "parts/run.txt", "checkpoints": {"save": "parts"}}
    begun = run("ort", num_epochs=2, options=native, **parts)
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")  # nothing that was measured is there
    resumed = run("ort", options={"resume": True}, **parts)
    assert losses(begun) + losses(resumed) == losses(whole)
    assert not Path("elsewhere").exists()
    kernels = json.loads(torch.load("parts/model_checkpoint_4.pt", weights_only=True)["kernels"])
    assert {key.partition(" ")[0]: name for key, name in kernels.items()} == {
        "BatchNormalization": "native",
        "BatchNormalizationGrad": "native",
        "Conv": "native",
        "ConvGrad": "native",
        "MaxPool": "aten",
    }
    assert not caplog.messages
    run("ort", num_epochs=5, options={"resume": True, "kernel_choice": KernelChoice.ATEN}, **parts)
    assert caplog.messages == [
        "kernels are chosen anew (--kernel-choice): the run's numbers may differ in the last digits"
    ]


def test_resuming_takes_the_engine_that_the_run_began_with() -> None:
    run("torch", num_epochs=1)
    Path("run.json").write_text(json.dumps({"neural_network": {**BASE, "num_epochs": 2}}))
    assert onnxgrid.train("run.json", resume=True).engine == "torch"


def test_seeds_decide_weights_order_and_masks() -> None:
    default = losses(run(num_epochs=1))
    assert losses(run(num_epochs=1, data={**data(), "seed": 42})) == default
    assert losses(run(num_epochs=1, data={**data(), "seed": 7})) != default
    assert losses(run(num_epochs=1, options={"seed": 7})) not in (
        default,
        losses(run(num_epochs=1, options={"seed": 8})),
    )


def test_initial_weights_are_those_of_convert_with_the_same_seed() -> None:
    still = {"type": "SGD", "learning_rate": 0.0}
    for seed in (None, 3):
        options = {} if seed is None else {"seed": seed}
        result = run(num_epochs=1, optimizer=still, options=options)
        converters.save_model(converters.convert("net.json", seed=seed or 0), Path("converted.onnx"))
        assert result.checkpoint is not None
        trained, converted = weights(result.checkpoint), weights("converted.onnx")
        for name in ("conv.weight", "dense_6.weight"):
            assert trained[name].tobytes() == converted[name].tobytes()


def test_loading_a_coarse_checkpoint_prints_what_the_network_does_not_find_in_it() -> None:
    run(num_epochs=1)
    write_samples(Path("fine"), 6, size=12)
    Path("fine.json").write_text(json.dumps(network(12, dense="dense_12")))
    fine = {"layers": "fine.json", "data": {"type": "numpy", "input_path": "fine/x", "target_path": "fine/t"}}
    lines = log_of(**fine, num_epochs=1, checkpoints={"load": "./ck/model_checkpoint_1.pt", "save": "fine_ck"})
    begin = lines.index("Loading model checkpoint from file: ./ck/model_checkpoint_1.pt")
    assert lines[begin - 1] == RULE
    assert lines[begin + 1 : begin + 6] == [
        "   Skipping layer dense_12: not found in model",
        "   Skipping parameter dense_12.weight: not found in model",
        "   Skipping parameter dense_12.bias: not found in model",
        "   Unused layer dense_6: not found in network",
        "----------------- Optimizer -----------------",
    ]


def test_loading_prints_the_shapes_of_a_layer_that_kept_its_name() -> None:
    run(num_epochs=1)
    write_samples(Path("fine"), 6, size=12)
    Path("fine.json").write_text(json.dumps(network(12)))
    fine = {"layers": "fine.json", "data": {"type": "numpy", "input_path": "fine/x", "target_path": "fine/t"}}
    lines = log_of(**fine, num_epochs=1, checkpoints={"load": "ck/model_checkpoint_1.onnx"})
    begin = lines.index("Loading model checkpoint from file: ck/model_checkpoint_1.onnx")
    assert lines[begin + 1 : begin + 3] == [
        "   Skipping parameter dense_6.weight: shape (3, 36) in model, (3, 144) in network",
        "----------------- Optimizer -----------------",
    ]


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_what_matches_is_loaded_bit_for_bit(suffix: str) -> None:
    run(num_epochs=1)
    result = run(
        num_epochs=1,
        optimizer={"type": "SGD", "learning_rate": 0.0},
        checkpoints={"load": f"ck/model_checkpoint_1{suffix}", "save": "loaded"},
    )
    before, after = weights("ck/model_checkpoint_1.onnx"), weights(result.checkpoint or "")
    assert list(before) == list(after)
    for name in before:
        if ".running_" not in name:  # a step moves the statistics even at learning rate 0
            assert before[name].tobytes() == after[name].tobytes(), name


def test_strict_loading_refuses_before_anything_is_trained_or_written() -> None:
    run(num_epochs=1)
    Path("net.json").write_text(json.dumps(network(dense="dense_new")))
    changes = {"checkpoints": {"load": "ck/model_checkpoint_1.pt", "save": "new"}, "outfile": "new/run.txt"}
    with pytest.raises(TransplantError) as caught:
        run(options={"strict": True}, **changes)
    assert str(caught.value) == (
        "ck/model_checkpoint_1.pt: 4 differences between the checkpoint and the network, listed above\n"
        "  Rename layers so that they match, or leave --strict out."
    )
    assert not Path("new").exists()


def test_strict_loading_of_what_matches_is_no_error() -> None:
    run(num_epochs=1)
    run(num_epochs=1, options={"strict": True}, checkpoints={"load": "ck/model_checkpoint_1.pt"})


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_layers_keep_weights_and_statistics(engine: str) -> None:
    run(engine, num_epochs=1)
    Path("net.json").write_text(json.dumps(network(frozen=("conv", "norm"))))
    run(engine, num_epochs=2, checkpoints={"load": "ck/model_checkpoint_1.pt", "save": "frozen"})
    before, after = weights("ck/model_checkpoint_1.pt"), weights("frozen/model_checkpoint_2.pt")
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert changed == {"dense_6.weight", "dense_6.bias"}


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_layers_survive_a_resume(engine: str) -> None:
    run(engine, num_epochs=1)
    Path("net.json").write_text(json.dumps(network(frozen=("conv", "norm"))))
    parts = {"checkpoints": {"load": "ck/model_checkpoint_1.pt", "save": "frozen"}, "outfile": "frozen/run.txt"}
    run(engine, num_epochs=1, **parts)
    run(engine, num_epochs=2, options={"resume": True}, **parts)
    whole = {"checkpoints": {"load": "ck/model_checkpoint_1.pt", "save": "whole"}, "outfile": "whole/run.txt"}
    run(engine, num_epochs=2, **whole)
    assert Path("frozen/model_checkpoint_2.onnx").read_bytes() == Path("whole/model_checkpoint_2.onnx").read_bytes()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_without_training_data_evaluates_the_loaded_network(engine: str) -> None:
    trained = run(engine, num_epochs=2)
    changes: Json = {"data": data(training=False), "checkpoints": {"load": "ck/model_checkpoint_2.pt"}}
    lines: list[str] = []
    result = run(engine, lines.append, outfile="eval/run.txt", **changes)
    assert result.checkpoint is None
    (epoch,) = result.epochs
    assert (epoch.epoch, epoch.train_loss) == (1, None)
    assert epoch.test_loss == pytest.approx(trained.epochs[-1].test_loss, rel=1e-5)
    assert epoch.accuracy == trained.epochs[-1].accuracy
    assert "----------------- Optimizer -----------------" not in lines
    assert [line[:43] for line in lines if line.startswith("Eval")] == [
        f"Eval  Epoch [  1/  1] : Batch [    {i}/    3]" for i in (1, 2, 3)
    ]
    assert not any(line.startswith("Train") for line in lines)
    assert results("eval")[1] == [["1", f"{epoch.test_loss:.6f}", f"{epoch.accuracy:.6f}"]]


def test_an_evaluation_without_targets_or_loss_only_counts_batches() -> None:
    run(num_epochs=1)
    changes: Json = {"checkpoints": {"load": "ck/model_checkpoint_1.pt"}, "optimizer": None, "num_epochs": None}
    inputs = {"type": "numpy", "test_input_path": "test/x", "test_batch_size": 4}
    for loss in (BASE["loss"], None):
        lines = log_of(**changes, loss=loss, data=inputs)
        assert lines[-5:] == [
            *(f"Eval  Epoch [  1/  1] : Batch [    {i}/    3]" for i in (1, 2, 3)),
            RULE,
            "All done (return value = 0). ",
        ]


def test_training_without_test_data_evaluates_nothing() -> None:
    result = run(data={"type": "numpy", "input_path": "train/x", "target_path": "train/t"})
    assert all(epoch.test_loss is None and epoch.accuracy is None for epoch in result.epochs)
    assert results()[1] == []


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (9, [5])])
def test_checkpoints_come_at_each_interval_and_at_the_end(interval: int, epochs: list[int]) -> None:
    result = run(num_epochs=5, checkpoints={"save": "ck", "interval": interval})
    names = [f"model_checkpoint_{epoch}{suffix}" for epoch in epochs for suffix in (".onnx", ".pt")]
    assert sorted(path.name for path in Path("ck").iterdir()) == ["checkpoints.json", *names]
    assert result.checkpoint == "ck/model_checkpoint_5.onnx"


def test_without_a_folder_nothing_is_saved() -> None:
    before = set(Path().iterdir())
    assert run(checkpoints=None, outfile=None).checkpoint is None
    assert set(Path().iterdir()) - before == {Path("run.json")}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_onnx_model_is_trained_like_the_network_it_was_converted_from(engine: str) -> None:
    expected = losses(run(engine))
    converters.save_model(converters.convert("net.json"), Path("net.onnx"))
    assert losses(run(engine, layers="net.onnx", checkpoints={"save": "other"})) == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_an_onnx_model_with_external_data_becomes_a_checkpoint_of_one_file(engine: str) -> None:
    expected = losses(run(engine, num_epochs=1))
    converters.save_model(converters.convert("net.json"), Path("net.onnx"))
    onnx.save(onnx.load("net.onnx"), "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=0)
    assert losses(run(engine, num_epochs=1, layers="apart.onnx", checkpoints={"save": "other"})) == expected
    Path("apart.data").unlink()
    assert_same_bits(weights("other/model_checkpoint_1.onnx"), weights("ck/model_checkpoint_1.onnx"))


@pytest.mark.parametrize("form", ["array", "object"])
def test_a_network_can_stand_in_the_configuration(form: str) -> None:
    expected = losses(run())
    layers = network()
    inline = layers if form == "array" else {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
    lines = log_of(layers=inline)
    assert losses(run(layers=inline, checkpoints={"save": "other"})) == expected
    assert f"   Model name          : {'Unknown' if form == 'array' else 'net'}" in lines


def test_the_whole_log_of_a_run() -> None:
    schedule = {"type": "Step", "step_size": 1, "gamma": 0.5}
    lines = log_of(num_epochs=2, optimizer={**BASE["optimizer"], "lr_scheduler": schedule})
    begin = next(i for i, line in enumerate(lines) if line.startswith("Train Epoch"))
    assert lines[:begin] == [
        f"onnxgrid {onnxgrid.__version__}",
        "1 process",
        "----------------- Device(s) -----------------",
        "   CPU",
        RULE,
        "--------------- Neural Network --------------",
        "   Model name          : Unknown",
        "   Total parameters    : 159",
        "   Trainable parameters: 159",
        "   Num of operations   : 9",
        RULE,
        "----------------- Optimizer -----------------",
        "   Type         : SGD",
        "   Learning rate: 0.05",
        "   Momentum     : 0.9",
        "   Dampening    : 0",
        "   Weight decay : 0",
        "   Nesterov     : 0",
        "---------- Learning rate scheduler ----------",
        "   Type   : Step",
        "   Gamma  : 0.5",
        "   Step size: 1",
        "   Verbose: True",
        "-------------------- Loss -------------------",
        "   Function    : NLL (Negative Log-Likelihood)",
        "   Weight      : None",
        "   Ignore index: None",
        RULE,
        "Discovering training input NumPy samples...",
        "Discovering training target NumPy samples...",
        "Discovering test input NumPy samples...",
        "Discovering test target NumPy samples...",
        "------------------ Dataset ------------------",
        "Training dataset:",
        "   Type                     : numpy",
        "   Num samples (total)      : 20",
        "   Num samples (per process): 20",
        "   Batch size  (requested)  : 8",
        "   Batch size  (per process): 8",
        "   Num batches (per process): 3",
        "Test dataset:",
        "   Type                     : numpy",
        "   Num samples (total)      : 10",
        "   Num samples (per process): 10",
        "   Batch size  (requested)  : 4",
        "   Batch size  (per process): 4",
        "   Num batches (per process): 3",
        RULE,
    ]
    assert [line.split(" : ")[0] if " : " in line else line for line in lines[begin:]] == [
        *["Train Epoch [  1/  2]"] * 3,
        RULE,
        *["Eval  Epoch [  1/  2]"] * 3,
        RULE,
        "Learning rate adjusted to 0.025",
        *["Train Epoch [  2/  2]"] * 3,
        RULE,
        *["Eval  Epoch [  2/  2]"] * 3,
        RULE,
        "Learning rate adjusted to 0.0125",
        "All done (return value = 0). ",
    ]


class Recorder:
    """Progress, written down."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def epoch_started(self, epoch: int, epochs: int, batches: int) -> None:
        self.seen.append((epoch, epochs, batches))

    def batch_done(self, batch: int, loss: float) -> None:
        self.seen.append((batch,))


def test_progress_is_told() -> None:
    recorder = Recorder()
    run(num_epochs=2, options={"progress": recorder})
    assert recorder.seen == [(1, 2, 3), (1,), (2,), (3,), (2, 2, 3), (1,), (2,), (3,)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_diverges_fails_and_keeps_its_last_checkpoint(engine: str) -> None:
    run(engine, num_epochs=1)
    np.save("train/x/00.npy", np.full((1, 6, 6), np.nan, dtype=np.float32))
    with pytest.raises(WorkFailed, match=r"^The loss is nan in batch \d \(step \d of the run\)\.\n  Lower"):
        run(engine, num_epochs=2, options={"resume": True})
    assert sorted(path.name for path in Path("ck").glob("*.onnx")) == ["model_checkpoint_1.onnx"]


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        run("jax")
    assert str(caught.value) == "engine: there is no engine 'jax'\n  Use one of: ort, torch."


def test_resuming_with_other_settings_warns_and_names_them(caplog: pytest.LogCaptureFixture) -> None:
    run(num_epochs=1)
    run(num_epochs=2, options={"resume": True}, data={**data(), "batch_size": 5})
    assert caplog.messages == [
        "the run goes on with other settings than it was begun with: data.batch_size was 8, is 5"
    ]


def test_resuming_with_another_optimizer_is_refused() -> None:
    run(num_epochs=1)
    optimizer = {**BASE["optimizer"], "momentum": 0.25}
    with pytest.raises(ConfigError) as caught:
        run(num_epochs=2, options={"resume": True}, optimizer=optimizer)
    assert str(caught.value) == (
        f"ck/model_checkpoint_1.pt: the run was begun with another optimizer: "
        f"optimizer.momentum was {BASE['optimizer']['momentum']}, is 0.25\n"
        "  Resume with the optimizer the run began with; only its learning rate may change."
    )


def test_resuming_takes_the_checkpoints_of_the_last_run_in_the_folder() -> None:
    run(num_epochs=3)
    run(num_epochs=1, options={"seed": 9})
    assert [epoch.epoch for epoch in run(num_epochs=2, options={"resume": True}).epochs] == [2]


def test_a_file_where_the_checkpoints_should_go_is_found_before_training() -> None:
    with pytest.raises(ConfigError) as caught:
        run(checkpoints={"save": "net.json"})
    assert str(caught.value) == (
        "checkpoints.save: is 'net.json', where no folder can be made or written\n  Give a folder."
    )


def test_resuming_without_a_checkpoint_says_so() -> None:
    assert "No checkpoint in folder: ck; starting from the beginning" in log_of(num_epochs=1, options={"resume": True})


@pytest.mark.parametrize("engine", ENGINES)
def test_accumulated_batches_are_one_larger_batch(engine: str) -> None:
    layers = [each for each in network() if each["class_name"] != "BatchNormalization"]
    Path("net.json").write_text(json.dumps(layers))
    larger = run(engine, data={**data(), "batch_size": 9}, num_epochs=2)
    parts = run(engine, options={"accumulate": 3}, data={**data(), "batch_size": 3}, num_epochs=2)
    for ours, theirs in zip(losses(parts), losses(larger), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_run_that_is_resumed_with_other_accumulation_warns(caplog: pytest.LogCaptureFixture) -> None:
    run(num_epochs=1, options={"accumulate": 2})
    run(num_epochs=2, options={"accumulate": 3, "resume": True})
    assert [record.getMessage() for record in caplog.records] == [
        "the run goes on with other settings than it was begun with: --accumulate was 2, is 3"
    ]


def test_what_a_transplant_says_of_its_layers_goes_into_the_next_run() -> None:
    Path("fine.json").write_text(json.dumps(network(dense="new_dense")))
    for name in ("net", "fine"):
        converters.save_model(converters.convert(f"{name}.json"), Path(f"{name}.onnx"))
    options = ["--freeze-out", "freeze.json", "--rates-out", "rates.json"]
    result = CliRunner().invoke(transplant_command, ["net.onnx", "fine.onnx", "-o", "start.onnx", *options])
    assert result.exit_code == 0
    assert json.loads(Path("freeze.json").read_text()) == {"freeze": ["conv", "norm"]}
    assert json.loads(Path("rates.json").read_text()) == {
        "layer_rates": [{"layers": ["conv", "norm"], "factor": 0.1}, {"layers": ["new_dense"], "factor": 1.0}]
    }
    fine: Json = {"layers": "fine.json", "num_epochs": 1, "outfile": None}
    lines = log_of(**fine, checkpoints={"load": "start.onnx", "save": "ck"}, freeze="freeze.json")
    assert "   Trainable parameters: 111" in lines  # 36 inputs and a bias, for each of 3 classes
    start, frozen = weights("start.onnx"), weights("ck/model_checkpoint_1.onnx")
    changed = {name for name in start if not np.array_equal(start[name], frozen[name])}
    assert changed == {"new_dense.weight", "new_dense.bias"}
    saved, given = onnx.load("ck/model_checkpoint_1.onnx"), onnx.load("start.onnx")
    assert list(saved.graph.node) == list(given.graph.node)  # the checkpoint is not a frozen network
    rated = dict(BASE["optimizer"], layer_rates=[{"layers": ["conv", "norm"], "factor": 0.0}])
    run(**fine, checkpoints={"load": "start.onnx", "save": "rated"}, optimizer=rated)
    slowed = weights("rated/model_checkpoint_1.onnx")
    changed = {name for name in start if not np.array_equal(start[name], slowed[name])}
    # At rate 0 statistics are still collected, which freezing would stop.
    assert changed == {"new_dense.weight", "new_dense.bias", "norm.running_mean", "norm.running_var"}


def test_a_run_is_not_resumed_with_other_layers_frozen(caplog: pytest.LogCaptureFixture) -> None:
    run(num_epochs=1, freeze=["conv"])
    with pytest.raises(ConfigError, match="the checkpoint does not fit the optimizer of this run"):
        run(num_epochs=2, options={"resume": True})
    assert "freeze was ['conv'], is None" in caplog.text
