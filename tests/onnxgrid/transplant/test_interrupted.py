"""Programs that are killed while they write: what stood at the output stands there still, whole."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from converters.atomic_file import temporary_beside
from onnxgrid.transplant import transplant
from tests.small_models import initializers_of, numbered, small_model

OLD = {"big.weight": numbered((40, 50), 1), "big.bias": numbered((3,), 100)}
NEW = {name: array + 1000 for name, array in OLD.items()}

PROGRAM = """
import os, sys, time
import {module} as module
original = module.{function}
def held(*arguments, **options):
    if {first}:
        original(*arguments, **options)
    print("here", flush=True)
    time.sleep(100)
module.{function} = held
from onnxgrid.transplant import transplant
transplant("source.onnx", {target!r}, {out!r}, in_place=True)
"""

MOMENTS = {
    "while data are copied": ("os", "copy_file_range", True),
    "before the data get their name": ("os", "rename", False),
    "after the data got their name": ("os", "rename", True),
    "before the model gets its name": ("os", "replace", False),
}


def killed(folder: Path, target: str, out: str, module: str, function: str, *, first: bool) -> None:
    """Run a transplant to a moment, and kill it there."""
    program = PROGRAM.format(module=module, function=function, first=first, target=target, out=out)
    with subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL


def saved(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    ir.save(small_model(arrays), folder / name, external_data=f"{name}.data", size_threshold_bytes=0)


def named_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize(("module", "function", "first"), MOMENTS.values(), ids=MOMENTS)
def test_a_model_with_external_data_is_the_old_or_the_new_one(
    module: str, function: str, first: bool, tmp_path: Path
) -> None:
    saved(tmp_path, "source.onnx", NEW)
    saved(tmp_path, "out.onnx", OLD)
    killed(tmp_path, "out.onnx", "out.onnx", module, function, first=first)
    found = initializers_of(tmp_path / "out.onnx")
    for name, array in OLD.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("suffix", [".safetensors", ".h5"])
def test_a_file_that_was_not_there_is_not_there(suffix: str, tmp_path: Path) -> None:
    saved(tmp_path, "source.onnx", NEW)
    target = f"target{suffix}"
    if suffix == ".h5":
        import h5py

        with h5py.File(tmp_path / target, "w") as file:
            file.attrs["layer_names"] = [b"big"]
            group = file.create_group("big")
            group.attrs["weight_names"] = [b"big/bias:0"]
            group["big/bias:0"] = OLD["big.bias"]
    else:
        transplant(tmp_path / "source.onnx", tmp_path / "source.onnx", tmp_path / target)
    before = named_files(tmp_path)
    killed(tmp_path, target, f"out{suffix}", "os", "replace", first=False)
    assert named_files(tmp_path) == before


def test_what_killed_programs_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    saved(tmp_path, "source.onnx", NEW)
    saved(tmp_path, "out.onnx", OLD)
    for _time in range(2):
        killed(tmp_path, "out.onnx", "out.onnx", "os", "rename", first=False)
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(left) == 4  # a model and its data, twice
    running = temporary_beside(tmp_path / "out.onnx", ".onnx")
    of_another = tmp_path / left[0].replace(".out.onnx.", ".about.onnx.")
    elsewhere = tmp_path / re.sub(r"[0-9a-f]{8}-", "00000000-", left[0], count=1)
    kept = [running, of_another, elsewhere]
    for path in kept:
        path.touch()
    transplant(tmp_path / "source.onnx", tmp_path / "out.onnx", tmp_path / "out.onnx", in_place=True)
    assert {path for path in tmp_path.iterdir() if path.name.startswith(".")} == set(kept)
