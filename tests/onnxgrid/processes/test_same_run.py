"""Processes that were given different files, or different options, refuse to train together."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes import Group, command_line

FIX = "  Give all processes the same program, files, options and versions of torch and onnxruntime.\n"


def write_run(folder: Path, *, samples: int = 4, rate: float = 0.1, initial: str = "ones") -> None:
    conv = {"name": "conv", "filters": 1, "kernel_size": 1, "kernel_initializer": initial}
    for side in ("x", "t"):
        (folder / side).mkdir(parents=True)
        for i in range(samples):
            np.save(folder / side / f"{i}.npy", np.ones((1, 2, 2), np.float32))
    run = {
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 2, 2, 1]}},
            {"class_name": "Conv2D", "config": conv},
        ],
        "num_epochs": 1,
        "data": {"type": "numpy", "input_path": "x", "target_path": "t", "batch_size": 2},
        "optimizer": {"type": "SGD", "learning_rate": rate},
        "loss": {"function": "MSE"},
    }
    (folder / "run.json").write_text(json.dumps({"neural_network": run}))


def train_in_own_folder(folder: str, seeds: list[int]) -> None:
    rank = int(os.environ["RANK"])
    os.chdir(Path(folder, str(rank)))
    command_line("train", "run.json", "--engine", "torch", "--seed", str(seeds[rank]))


CASES: dict[str, tuple[dict[str, Any], list[int], str]] = {  # what differs -> the run of process 1, seeds, the message
    "data": (
        {"samples": 3},
        [0, 0],
        r"the number of training samples must be .* \(process 0: 4; process 1: 3\)\.",
    ),
    "configuration": (
        {"rate": 0.2},
        [0, 0],
        r"the run's settings must be .* \(process 0: \{.*'optimizer\.learning_rate': 0\.1.*\}; "
        r"process 1: \{.*'optimizer\.learning_rate': 0\.2.*\}\)\.",
    ),
    "seeds": ({}, [0, 1], r"the seed must be .* \(process 0: 0; process 1: 1\)\."),
    "initial weights": (
        {"initial": "zeros"},
        [0, 0],
        r"the checksum of the weights must be .* \(process 0: [0-9a-f]{16}; process 1: [0-9a-f]{16}\)\.",
    ),
}


@pytest.mark.parametrize(("changes", "seeds", "message"), CASES.values(), ids=CASES)
def test_processes_that_would_not_do_the_same_refuse(
    changes: dict[str, Any], seeds: list[int], message: str, tmp_path: Path
) -> None:
    write_run(tmp_path / "0")
    write_run(tmp_path / "1", **changes)
    group = Group(2, tmp_path / "logs", train_in_own_folder, str(tmp_path), seeds)
    assert group.end() == [1, 1]
    # Behind what torch's store says about the end of the process that it lay in, if that ends first.
    told, silent = sorted((group.err(rank)[group.err(rank).find("Error: At") :] for rank in (0, 1)), reverse=True)
    assert "Error" not in silent
    sentence = message.replace("must be .*", "must be the same in all processes, but is not")
    assert re.fullmatch(rf"Error: At the start, {sentence}\n{re.escape(FIX)}", told), told
    assert "Train Epoch" not in group.out(0)
