"""`onnxgrid train`: what reaches `onnxgrid.train`, and where its log, its result and the progress bar go."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

import onnxgrid
from onnxgrid.cli.main import cli
from onnxgrid.engines import KernelChoice

Run = Callable[..., Result]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each call of `onnxgrid.train`, which logs two lines instead of training."""
    seen: list[dict[str, Any]] = []

    def train(path: Path, *, log: Callable[[str], None], **options: Any) -> SimpleNamespace:
        seen.append({"path": path, **options})
        log("Train Epoch [  1/  1] [red]")
        log("All done (return value = 0). ")
        return SimpleNamespace(to_json=lambda: {"epochs": 1})

    monkeypatch.setitem(vars(onnxgrid), "train", train)
    return seen


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text("{}")
    return lambda *arguments: CliRunner().invoke(cli, ["train", *arguments])


DEFAULTS = {
    "path": Path("run.json"),
    "engine": None,
    "device": "auto",
    "precision": None,
    "compile": None,
    "kernel_choice": None,
    "seed": None,
    "num_epochs": None,
    "resume": False,
    "strict": False,
    "accumulate": 1,
    "elastic": False,
    "detect_anomaly": False,
    "profile": None,
    "shard_optimizer": False,
    "overrides": (),
    "progress": None,
}

COMMAND_LINES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "an argument": (["run.json"], {}),
    "--config F": (["--config", "run.json"], {}),
    "--config=F": (["--config=run.json"], {}),
    "--config= F": (["--config=", "run.json"], {}),
    "--kernel-choice": (["run.json", "--kernel-choice", "native"], {"kernel_choice": KernelChoice.NATIVE}),
    "-c F": (["-c", "run.json"], {}),
    "--app": (["--app=dnn", "--config=run.json"], {}),
    "--app= dnn": (["--app=", "DNN", "--config=", "run.json"], {}),
    "options": (
        ["run.json", "--engine", "torch", "--seed", "7", "--num-epochs", "3", "--resume", "--strict"],
        {"engine": "torch", "seed": 7, "num_epochs": 3, "resume": True, "strict": True},
    ),
    "how it is computed": (
        ["run.json", "--device", "cuda", "--precision", "bf16", "--compile"],
        {"device": "cuda", "precision": "bf16", "compile": True},
    ),
    "profiled": (["run.json", "--profile", "profile"], {"profile": Path("profile")}),
    "not compiled": (["run.json", "--no-compile"], {"compile": False}),
    "overrides": (
        ["run.json", "--set", "loss.function=MSE", "--set", "data.batch_size=8"],
        {"overrides": ("loss.function=MSE", "data.batch_size=8")},
    ),
}


@pytest.mark.parametrize(("arguments", "changes"), COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_the_command_line_reaches_the_library(
    run: Run, calls: list[dict[str, Any]], arguments: list[str], changes: dict[str, Any]
) -> None:
    assert run(*arguments).exit_code == 0
    assert calls == [DEFAULTS | changes]


USAGE_ERRORS = {
    "no configuration": ([], "Missing argument 'CONFIG'."),
    "an empty --config": (["--config="], "Option '--config' requires an argument."),
    "two configurations": (
        ["run.json", "-c", "run.json"],
        "Two configurations are given, run.json and run.json: give one.",
    ),
    "an absent file": (["absent.json"], "Invalid value for '[CONFIG]': File 'absent.json' does not exist."),
    "another kind of run": (["--app=pde", "run.json"], "Invalid value for '--app': 'pde' is not 'dnn'."),
    "another precision": (
        ["run.json", "--precision", "fp16"],
        "Invalid value for '--precision': 'fp16' is not one of 'fp32', 'bf16'.",
    ),
    "no epochs": (
        ["run.json", "--num-epochs", "0"],
        "Invalid value for '--num-epochs': 0 is not in the range 1<=x<=2147483647.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_wrong_usage_is_refused_before_anything_runs(
    run: Run, calls: list[dict[str, Any]], arguments: list[str], message: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, calls) == (2, "", [])
    assert result.stderr.splitlines()[-1] == f"Error: {message}"


def test_the_log_goes_to_stdout_as_it_is(run: Run, calls: list[dict[str, Any]]) -> None:
    result = run("run.json")
    assert result.stdout == "Train Epoch [  1/  1] [red]\nAll done (return value = 0). \n"
    assert result.stderr == ""


def test_timestamps_begin_each_line_with_date_and_time(run: Run, calls: list[dict[str, Any]]) -> None:
    for line in run("run.json", "--timestamps").stdout.splitlines():
        assert re.match(
            r"\[\d{4}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d\d \d\d:\d\d:\d\d\.\d{6}\] \w", line
        )


def test_json_puts_the_result_on_stdout_and_the_log_on_stderr(run: Run, calls: list[dict[str, Any]]) -> None:
    result = run("run.json", "--json")
    assert json.loads(result.stdout) == {"epochs": 1}
    assert result.stderr == "Train Epoch [  1/  1] [red]\nAll done (return value = 0). \n"


ON_A_TERMINAL = """
import time
from types import SimpleNamespace
import onnxgrid
from onnxgrid.cli.main import main

def train(path, *, log, progress, **options):
    for epoch in (1, 2):
        progress.epoch_started(epoch, 2, 3)
        for batch in (1, 2, 3):
            progress.batch_done(batch, 0.25)
            log(f"Train Epoch [{epoch}] Batch [{batch}] " + "x" * 90)
        time.sleep(0.11)
    return SimpleNamespace(to_json=dict)

vars(onnxgrid)["train"] = train
main()
"""

LOG_LINES = [f"Train Epoch [{epoch}] Batch [{batch}] {'x' * 90}" for epoch in (1, 2) for batch in (1, 2, 3)]


def on_a_terminal(tmp_path: Path, *, stdout_too: bool) -> tuple[str, str]:
    """What the program above writes to the terminal, which its stderr is, and to its stdout if that is a pipe."""
    (tmp_path / "run.json").write_text("{}")
    controller, terminal = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL, "train", str(tmp_path / "run.json")],
        stdout=terminal if stdout_too else subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        check=True,
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 65536):
            shown += chunk
    except OSError:  # the other end is closed and all is read
        pass
    os.close(controller)
    return shown.decode(), "" if stdout_too else done.stdout.decode()


def test_the_progress_bar_is_on_the_terminal_and_leaves_piped_log_lines_alone(tmp_path: Path) -> None:
    terminal, stdout = on_a_terminal(tmp_path, stdout_too=False)
    assert stdout.splitlines() == LOG_LINES
    assert "Epoch 2/2" in terminal
    assert "x" * 10 not in terminal


def test_log_lines_on_the_progress_bars_own_terminal_stay_whole(tmp_path: Path) -> None:
    terminal, _ = on_a_terminal(tmp_path, stdout_too=True)
    assert "Epoch 2/2" in terminal
    for line in LOG_LINES:
        assert line + "\r\n" in terminal
