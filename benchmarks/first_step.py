"""The time from the command to the first training step: `onnxgrid train` until its log shows the first batch.

For the ort engine twice: with an empty file of kernel times, so that all kernels are timed, and with the file that this
has left. CPU time is that of the whole program with its threads; on a busy machine it is what can be compared.
Run: python benchmarks/first_step.py [--networks "U-Net 2D small"] [--repetitions 3]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from engine_step import NETWORKS, Network, without_absent
from rich.console import Console
from rich.table import Table

ALLOWED_S = {"ort": 5.0, "torch": 4.0}
"""For U-Net 2D small."""
CASES = (("ort", "all kernels timed"), ("ort", "times known"), ("torch", ""))


def write_run(network: Network, folder: Path) -> None:
    """A network, samples for two steps, and a run configuration."""
    (folder / "network.json").write_text(json.dumps(network.description()))
    random = np.random.default_rng(0)
    for name, shape in (("x", network.inputs), ("t", network.targets)):
        (folder / name).mkdir()
        for i in range(2 * shape[0]):
            np.save(folder / name / f"{i:02}.npy", random.normal(size=shape[1:]).astype(np.float32))
    run = {
        "layers": "network.json",
        "num_epochs": 1,
        "data": {"type": "numpy", "input_path": "x", "target_path": "t", "batch_size": network.inputs[0]},
        "optimizer": {"type": "Adam"},
        "loss": {"function": "MSE"},
    }
    (folder / "run.json").write_text(json.dumps({"neural_network": run}))


def seconds_to_first_step(folder: Path, engine: str, cache: Path) -> tuple[float, float]:
    """Wall seconds and CPU seconds until the line of the first batch."""
    command = [sys.executable, "-m", "onnxgrid", "train", "run.json", "--engine", engine]
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, "XDG_CACHE_HOME": str(cache)}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("Train Epoch"))
        wall, cpu = time.perf_counter() - began, cpu_seconds(process.pid)
        process.stdout.read()
    return wall, cpu


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = re.sub(r"^.*\) ", "", Path(f"/proc/{pid}/stat").read_text()).split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table_of(names: Sequence[str], repetitions: int) -> Table:
    table = Table(title=f"From the command to the first step, the fastest of {repetitions}")
    for column in ("network", "engine", "kernels", "seconds", "at most", "CPU, s"):
        table.add_column(column, justify="left" if column in ("network", "engine", "kernels") else "right")
    for name in names:
        fastest: dict[tuple[str, str], tuple[float, float]] = {}
        for _ in range(repetitions):
            with tempfile.TemporaryDirectory() as folder:
                write_run(NETWORKS[name], Path(folder))
                for case in CASES:
                    times = seconds_to_first_step(Path(folder), case[0], Path(folder, "cache"))
                    fastest[case] = min(times, fastest.get(case, times))
        for (engine, kernels), (wall, cpu) in fastest.items():
            allowed = f"{ALLOWED_S[engine]:.0f}" if name == "U-Net 2D small" else ""
            table.add_row(name, engine, kernels, f"{wall:.1f}", allowed, f"{cpu:.1f}")
        table.add_section()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    Console(width=110).print(table_of(without_absent(arguments.networks), arguments.repetitions))


if __name__ == "__main__":
    main()
