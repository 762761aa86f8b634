"""One training step (forward, mean squared error, backward) of each engine beside plain torch, on four networks.

The contestants take turns, so that what else the machine does falls on all of them alike; a ratio is the median of the
ratios within each turn. With --busy one thread computes and its CPU time counts: what a machine that does much else can
tell. Peak memory is that of a process of its own that takes two steps. Prints one table.
Run: python benchmarks/engine_step.py [--networks "U-Net 2D small"] [--repetitions 9] [--busy]
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from _networks import ResNet50, UNet, resnet50_json, unet_json
from rich.console import Console
from rich.table import Table

import converters
from onnxgrid.engines import create_engine
from onnxgrid.engines.options import EngineOptions
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError

Step = Callable[[], None]


@dataclass(frozen=True)
class Network:
    """A network twice, and the shapes of a batch."""

    description: Callable[[], object]
    module: Callable[[], torch.nn.Module]
    inputs: tuple[int, ...]
    targets: tuple[int, ...]


NETWORKS = {
    "U-Net 2D small": Network(
        lambda: unet_json((64, 64), 16, 3), lambda: UNet(2, 16, 3), (8, 1, 64, 64), (8, 1, 64, 64)
    ),
    "U-Net 2D large": Network(
        lambda: unet_json((128, 128), 32, 3), lambda: UNet(2, 32, 3), (8, 1, 128, 128), (8, 1, 128, 128)
    ),
    "U-Net 3D": Network(
        lambda: unet_json((32, 32, 32), 16, 2), lambda: UNet(3, 16, 2), (2, 1, 32, 32, 32), (2, 1, 32, 32, 32)
    ),
    "ResNet50": Network(resnet50_json, ResNet50, (8, 3, 224, 224), (8, 1000)),
}

EAGER = "torch eager, contiguous"
CONTESTANTS: dict[str, tuple[str, EngineOptions] | None] = {
    EAGER: None,
    "ort": ("ort", EngineOptions()),
    "torch fp32": ("torch", EngineOptions()),
    "torch bf16": ("torch", EngineOptions(precision="bf16")),
}


def step_of(network: Network, contestant: str) -> Step:
    """A function that takes one step on a fixed batch."""
    random = torch.Generator().manual_seed(0)
    inputs, targets = (torch.randn(shape, generator=random) for shape in (network.inputs, network.targets))
    engine_and_options = CONTESTANTS[contestant]
    if engine_and_options is None:
        module = network.module()

        def eager_step() -> None:
            module.zero_grad(set_to_none=True)
            F.mse_loss(module(inputs), targets).backward()

        return eager_step
    name, options = engine_and_options
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.json"
        path.write_text(json.dumps(network.description()))
        graph = TrainableGraph.from_model(converters.convert(path), str(path))
    engine = create_engine(name, graph, MeanSquaredError(), seed=0, options=options)

    def engine_step() -> None:
        engine.step(inputs, targets, number=0)

    return engine_step


def seconds_in_turn(steps: Sequence[Step], repetitions: int, clock: Callable[[], float]) -> list[list[float]]:
    """For each turn the seconds of each step; two turns before are not counted."""
    turns = []
    for turn in range(repetitions + 2):
        seconds = []
        for step in steps:
            began = clock()
            step()
            seconds.append(clock() - began)
        if turn > 1:
            turns.append(seconds)
    return turns


def peak_megabytes(network: str, contestant: str) -> float:
    """The peak resident memory of a process that takes two steps."""
    command = [sys.executable, __file__, "--peak-of", network, contestant]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def print_own_peak(network: str, contestant: str) -> None:
    step = step_of(NETWORKS[network], contestant)
    for _ in range(2):
        step()
    # Not getrusage's maximum: that begins with what the process was forked from.
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    print(int(peak) / 1024)


def table_of(names: Sequence[str], repetitions: int, *, busy: bool) -> Table:
    clock, kind = (time.process_time, "CPU time") if busy else (time.perf_counter, "time")
    threads = torch.get_num_threads()
    table = Table(title=f"One training step, {kind} on {threads} thread(s), median of {repetitions} turns")
    for column in ("network", "what runs it", "step, ms", f"times as fast as {EAGER}", "peak memory, MB"):
        table.add_column(column, justify="left" if column in ("network", "what runs it") else "right")
    for name in names:
        steps = [step_of(NETWORKS[name], contestant) for contestant in CONTESTANTS]
        turns = seconds_in_turn(steps, repetitions, clock)
        for i, contestant in enumerate(CONTESTANTS):
            milliseconds = 1000 * statistics.median(turn[i] for turn in turns)
            ratio = statistics.median(turn[0] / turn[i] for turn in turns)
            peak = peak_megabytes(name, contestant)
            table.add_row(name, contestant, f"{milliseconds:.0f}", f"{ratio:.2f}", f"{peak:.0f}")
        table.add_section()
    return table


def without_absent(names: Sequence[str]) -> Sequence[str]:
    """The networks that can be had here; what is left out is said."""
    if "ResNet50" in names and find_spec("keras") is None:
        print("ResNet50 is left out: its JSON comes from Keras, which is not installed (pip install keras).")
        return [name for name in names if name != "ResNet50"]
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--busy", action="store_true", help="one thread, CPU time")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_own_peak(*arguments.peak_of)
        return
    if arguments.busy:
        torch.set_num_threads(1)
    names = without_absent(arguments.networks)
    Console(width=110).print(table_of(names, arguments.repetitions, busy=arguments.busy))


if __name__ == "__main__":
    main()
