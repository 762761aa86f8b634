"""One training step (forward, mean squared error, backward, SGD) of each engine beside plain torch and Keras' backends.

Each contestant is a process of its own, and they take turns while the others wait, so that what else the machine does
falls on all alike; a ratio is the median of the ratios within each turn. With --busy each has one processor, and its
CPU time counts. `ONNXGRID_PEERS_PYTHON` names a Python that has Keras with its backends (README.md). Prints one table.
Run: python benchmarks/peer_steps.py [--networks "U-Net 2D small"] [--repetitions 9] [--busy]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine_step import NETWORKS
from rich.console import Console
from rich.table import Table

import converters

HERE = Path(__file__).parent

WARM_UP = 3
"""Steps in which programs compile, and kernels are chosen."""


@dataclass(frozen=True)
class Contestant:
    """A program that trains: the script that runs it, and its first two arguments."""

    title: str
    script: str
    engine: str
    precision: str

    @property
    def is_ours(self) -> bool:
        return self.script == "_engine_worker.py"

    @property
    def is_engine(self) -> bool:
        return self.is_ours and self.engine != "eager"

    def file(self, network: str) -> str:
        """What it reads its network from; plain torch has a module of that name."""
        if self.engine == "eager":
            return network
        return "network.onnx" if self.is_ours else "network.json"


CONTESTANTS = [
    Contestant("torch eager, contiguous", "_engine_worker.py", "eager", "fp32"),
    Contestant("ort", "_engine_worker.py", "ort", "fp32"),
    Contestant("torch fp32", "_engine_worker.py", "torch", "fp32"),
    Contestant("torch bf16", "_engine_worker.py", "torch", "bf16"),
    Contestant("Keras on TensorFlow, float32", "_peer_worker.py", "tensorflow", "fp32"),
    Contestant("Keras on TensorFlow, mixed_bfloat16", "_peer_worker.py", "tensorflow", "bf16"),
    Contestant("Keras on JAX, float32", "_peer_worker.py", "jax", "fp32"),
    Contestant("Keras on torch, float32", "_peer_worker.py", "torch", "fp32"),
]


class Worker:
    """A running contestant."""

    def __init__(self, contestant: Contestant, name: str, folder: Path, *, busy: bool) -> None:
        shapes = [NETWORKS[name].inputs, NETWORKS[name].targets]
        python = sys.executable if contestant.is_ours else os.environ["ONNXGRID_PEERS_PYTHON"]
        if not contestant.is_ours:
            shapes = [(shape[0], *shape[2:], shape[1]) if len(shape) > 2 else shape for shape in shapes]
        command = [
            python,
            str(HERE / contestant.script),
            contestant.engine,
            contestant.precision,
            contestant.file(name),
        ]
        command += [*map(json.dumps, shapes), "alone" if busy else "all"]
        self.title, self._clock = contestant.title, int(busy)
        self._log = (folder / f"{contestant.title}.log").open("w+")
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def step(self) -> float:
        """The seconds of one step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._log.seek(0)
            raise SystemExit(f"{self.title} failed:\n{self._log.read()[-2000:]}")
        return float(answer.split()[self._clock])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(name: str, contestants: Sequence[Contestant], repetitions: int, *, busy: bool) -> list[list[float]]:
    """For each turn the seconds of each contestant's step."""
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        folder = Path(temporary)
        (folder / "source.json").write_text(json.dumps(NETWORKS[name].description()))
        model = converters.convert(folder / "source.json")
        converters.save_model(model, folder / "network.onnx")
        (folder / "network.json").write_text(converters.to_keras_json(model))
        workers = []
        for contestant in contestants:
            workers.append(Worker(contestant, name, folder, busy=busy))
            running.callback(workers[-1].stop)
            for _ in range(WARM_UP):
                workers[-1].step()
        return [[worker.step() for worker in workers] for _turn in range(repetitions)]


def table_of(names: Sequence[str], contestants: Sequence[Contestant], repetitions: int, *, busy: bool) -> Table:
    what = "CPU time on one processor" if busy else "time"
    table = Table(title=f"One training step, {what}, median of {repetitions} turns", title_justify="left")
    engines = [number for number, contestant in enumerate(contestants) if contestant.is_engine]
    titles = [f"times that of {contestants[number].title}" for number in engines]
    for column in ("network", "what runs it", "step, ms", *titles):
        table.add_column(column, justify="left" if column in ("network", "what runs it") else "right")
    for name in names:
        turns = measure(name, contestants, repetitions, busy=busy)
        for number, contestant in enumerate(contestants):
            milliseconds = 1000 * statistics.median(turn[number] for turn in turns)
            ratios = [statistics.median(turn[number] / turn[own] for turn in turns) for own in engines]
            table.add_row(name, contestant.title, f"{milliseconds:.0f}", *(f"{ratio:.2f}" for ratio in ratios))
        table.add_section()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--busy", action="store_true", help="one processor each, CPU time")
    arguments = parser.parse_args()
    contestants = CONTESTANTS
    if "ONNXGRID_PEERS_PYTHON" not in os.environ:
        print("Other programs are not run: set ONNXGRID_PEERS_PYTHON (benchmarks/README.md).")
        contestants = [contestant for contestant in CONTESTANTS if contestant.is_ours]
    table = table_of(arguments.networks, contestants, arguments.repetitions, busy=arguments.busy)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
