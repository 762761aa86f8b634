"""How a run of several processes ends when one of them fails: all of them end, and one of them says why."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np

from tests.processes import Group, command_line

NETWORK = [
    {"class_name": "InputLayer", "config": {"name": "image", "batch_input_shape": [None, 4, 4, 1]}},
    {"class_name": "Conv2D", "config": {"name": "conv", "filters": 3, "kernel_size": 4, "activation": "linear"}},
    {"class_name": "BatchNormalization", "config": {"name": "norm"}},
    {"class_name": "Flatten", "config": {"name": "flat"}},
    {"class_name": "Softmax", "config": {"name": "soft"}},
]


def configuration(folder: Path, **changes: Any) -> str:
    """A run without end on twelve images of three classes."""
    random = np.random.default_rng(0)
    for side in ("x", "t"):
        (folder / side).mkdir()
    for i in range(12):
        np.save(folder / "x" / f"{i:02}.npy", random.normal(size=(1, 4, 4)).astype(np.float32))
        np.save(folder / "t" / f"{i:02}.npy", np.eye(3, dtype=np.float32)[i % 3])
    run = {
        "layers": NETWORK,
        "num_epochs": 1_000_000,
        "data": {"type": "numpy", "input_path": str(folder / "x"), "target_path": str(folder / "t"), "batch_size": 4},
        "optimizer": {"type": "SGD", "learning_rate": 0.01},
        "loss": {"function": "BCE", "source": "softmax"},
        **changes,
    }
    path = folder / "run.json"
    path.write_text(json.dumps({"neural_network": run}))
    return str(path)


def train(folder: Path, config: str, engine: str = "torch") -> Group:
    return Group(2, folder / "logs", command_line, "train", config, "--engine", engine)


def lost(rank: int) -> str:
    return (
        f"Error: The processes of the run lost each other: no answer from process {rank} of 2.\n"
        "  It was killed, or its machine or network is gone. Go on from the last checkpoint with --resume.\n"
    )


def test_a_process_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    group = train(tmp_path, configuration(tmp_path), engine="ort")
    group.wait_for("Train Epoch [  2/")
    group.send(signal.SIGKILL, 1)
    assert group.end() == [1, -signal.SIGKILL]
    assert group.err(0) == lost(1)


def test_the_end_of_the_first_process_ends_the_run(tmp_path: Path) -> None:
    group = train(tmp_path, configuration(tmp_path))
    group.wait_for("Train Epoch [  2/")
    group.send(signal.SIGKILL, 0)
    assert group.end() == [-signal.SIGKILL, 1]
    assert group.err(1).endswith(lost(0))  # behind what torch's store says about its end


def test_an_interruption_ends_all_processes_with_one_message(tmp_path: Path) -> None:
    group = train(tmp_path, configuration(tmp_path), engine="ort")
    group.wait_for("Train Epoch [  2/")
    group.send(signal.SIGINT, 0, 1)
    assert group.end() == [130, 130]
    assert sorted([group.err(0), group.err(1)]) == ["", "\nInterrupted.\n"]


def test_an_error_that_all_processes_meet_is_told_once(tmp_path: Path) -> None:
    config = configuration(tmp_path, optimizer={"type": "SGD", "learning_rate": 3e38}, loss={"function": "MSE"})
    group = train(tmp_path, config)
    assert group.end() == [1, 1]
    told, silent = sorted([group.err(0), group.err(1)], reverse=True)
    assert silent == ""
    assert told.endswith(
        "\n  Lower optimizer.learning_rate, or look for NaN, unscaled or all ignored values in the data"
        "; --detect-anomaly names the layer.\n"
    )
    assert "All done" not in group.out(0)


def test_an_error_that_one_process_meets_is_told_by_it(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    np.save(tmp_path / "t" / "05.npy", np.full(3, 7, np.float32))
    group = train(tmp_path, config)
    assert group.end() == [2, 2]
    told, silent = sorted([group.err(0), group.err(1)], reverse=True)
    assert silent == ""
    assert told == (
        f"Error: {tmp_path / 'x'}: the target of '05.npy' holds 7, and BCE compares with values from 0 to 1\n"
        "  Scale the targets, or use MSE.\n"
    )
