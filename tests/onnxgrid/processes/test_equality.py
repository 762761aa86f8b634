"""Training by one and by several processes: the same losses, accuracies and weights, up to rounding.

The oracle is the run of one process, which other tests compare with torch and Keras.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from converters.weights import read_weights
from tests.onnxgrid.processes.training_cases import (
    CASES,
    carry_out,
    carry_out_all,
    write_config,
    write_samples,
)
from tests.processes import Group

ENGINES = ("ort", "torch")
SIZES = (2, 4)
TOLERANCE = 1e-5
"""Relative, of the losses: sums of float32 numbers are made in another order."""

Json = dict[str, Any]
Key = tuple[str, str]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[Key, Json]]:
    """{number of processes: {(case, engine): its result}}."""
    folder = tmp_path_factory.mktemp("runs")
    write_samples(folder)
    keys = [(case, engine) for case in CASES for engine in ENGINES]

    def configs(size: int) -> list[tuple[Path, str, Json]]:
        return [
            (write_config(folder, case, folder / f"{size}_{engine}_{case}"), engine, CASES[case][2])
            for case, engine in keys
        ]

    groups = {}
    for size in SIZES:
        groups[size] = Group(size, folder / f"logs_{size}", carry_out_all, configs(size), folder / f"{size}.json")
    made = {1: dict(zip(keys, (carry_out(*each) for each in configs(1)), strict=True))}
    for size, group in groups.items():
        assert group.end() == [0] * size, group.err(0) + group.err(1)
        made[size] = dict(zip(keys, json.loads((folder / f"{size}.json").read_text()), strict=True))
    return made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_several_processes_train_as_one(results: dict[int, dict[Key, Json]], case: str, engine: str, size: int) -> None:
    several, one = results[size][case, engine], results[1][case, engine]
    assert len(one["losses"]) == 9
    assert several["losses"] == pytest.approx(one["losses"], rel=TOLERANCE)
    for ours, theirs in zip(several["epochs"], one["epochs"], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=TOLERANCE)
        assert ours["test_loss"] == pytest.approx(theirs["test_loss"], rel=TOLERANCE)
        assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=1e-12)
    weights = {name: weight.read() for name, weight in read_weights(Path(several["checkpoint"])).items()}
    for name, weight in read_weights(Path(one["checkpoint"])).items():
        np.testing.assert_allclose(weights[name], weight.read(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_checkpoint_of_a_sharded_optimizer_is_that_of_a_whole_one(
    results: dict[int, dict[Key, Json]], engine: str, size: int
) -> None:
    states = []
    for result in (results[size], results[1]):
        path = Path(result["a sharded optimizer, resumed", engine]["checkpoint"]).with_suffix(".pt")
        states.append(torch.load(path, weights_only=True)["optimizer"])
    ours, theirs = states
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys() == {0}
    for name in ("step", "exp_avg", "exp_avg_sq"):
        torch.testing.assert_close(ours["state"][0][name], theirs["state"][0][name], rtol=1e-3, atol=1e-6)
