"""`--elastic`: torchrun starts the processes again, and the run goes on from its newest checkpoint."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onnxgrid
from converters.weights import read_weights
from onnxgrid.errors import ConfigError
from tests.onnxgrid.processes.training_cases import write_config, write_samples
from tests.processes import TIMEOUT_S

CASE = "batch normalization, dropout, weighted and ignored classes"
SCRIPT = Path(__file__).parent / "elastic_run.py"
ROOT = SCRIPT.parent.parent.parent.parent


def test_a_run_goes_on_when_torchrun_starts_it_again(tmp_path: Path) -> None:
    write_samples(tmp_path)
    config = write_config(tmp_path, CASE, tmp_path / "elastic")
    # What an earlier run of four epochs left: not to be gone on from.
    earlier = write_config(tmp_path, CASE, tmp_path / "whole")
    whole = onnxgrid.train(earlier, engine="torch", num_epochs=4, overrides=["checkpoints.interval=1"])
    for path in (tmp_path / "whole").glob("*checkpoint*"):
        shutil.copy(path, tmp_path / "elastic")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    done = subprocess.run(
        [sys.executable, *torchrun, str(SCRIPT), str(config), str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text().splitlines()
    resumed = f"Resuming after epoch 2 from file: {tmp_path}/elastic/model_checkpoint_2.pt"
    assert [line for line in log if "checkpoint" in line] == [resumed]
    assert log.count("2 processes") == 2
    assert log[-1] == "All done (return value = 0). "
    assert whole.checkpoint is not None
    weights = read_weights(tmp_path / "elastic" / "model_checkpoint_4.onnx")
    for name, weight in read_weights(Path(whole.checkpoint)).items():
        np.testing.assert_allclose(weights[name].read(), weight.read(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "0"}.items():
        monkeypatch.setenv(name, value)


def test_without_torchrun_nothing_would_start_the_run_again(tmp_path: Path) -> None:
    write_samples(tmp_path)
    config = write_config(tmp_path, CASE, tmp_path / "elastic")
    with pytest.raises(ConfigError) as caught:
        onnxgrid.train(config, elastic=True)
    assert str(caught.value) == (
        "--elastic: needs torchrun, which starts the processes again when one has failed\n"
        "  Run: torchrun --nproc-per-node N --max-restarts R -m onnxgrid train CONFIG --elastic"
    )


@pytest.mark.usefixtures("under_torchrun")
def test_without_a_folder_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    write_samples(tmp_path)
    config = write_config(tmp_path, CASE, tmp_path / "elastic")
    with pytest.raises(ConfigError) as caught:
        onnxgrid.train(config, elastic=True, overrides=["checkpoints.save=null"])
    assert str(caught.value) == (
        "checkpoints.save: is missing, and --elastic needs the folder that holds the checkpoints\n"
        "  Set checkpoints.save to that folder."
    )
