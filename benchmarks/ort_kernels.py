"""The ort engine's step with each choice of kernels, beside torch eager on contiguous tensors.

Each contender is a process of its own, as a user would start it; the processes take their steps in turns, so that
whatever else the machine does slows all alike. Prints one table: the median step, how many times as fast as torch, time
to the end of the first step, and peak memory. With one thread a step's time is that of the processor, which a busy
machine does not falsify.

Run: python benchmarks/ort_kernels.py [--threads N] [--steps N] [--network NAME]...
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from _networks import ResNet50, UNet, resnet50_json, unet_json
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Network:
    """A network twice, and the shape of a batch."""

    description: Callable[[], object]
    module: Callable[[], torch.nn.Module]
    inputs: tuple[int, ...]


NETWORKS = {
    "U-Net 2D small": Network(lambda: unet_json((64, 64), 16, 3), lambda: UNet(2, 16, 3), (8, 1, 64, 64)),
    "U-Net 2D large": Network(lambda: unet_json((128, 128), 32, 3), lambda: UNet(2, 32, 3), (8, 1, 128, 128)),
    "U-Net 3D": Network(lambda: unet_json((32, 32, 32), 16, 2), lambda: UNet(3, 16, 2), (2, 1, 32, 32, 32)),
    "ResNet50": Network(resnet50_json, ResNet50, (8, 3, 224, 224)),
}
CONTENDERS = ("torch", "native", "aten", "auto")
"""torch eager, and the ort engine with --kernel-choice."""


def torch_step(network: Network, inputs: torch.Tensor) -> Callable[[], object]:
    """Forward, mean squared error and backward of the module."""
    module = network.module()
    targets = torch.zeros_like(module(inputs))

    def step() -> None:
        for parameter in module.parameters():
            parameter.grad = None
        torch.nn.functional.mse_loss(module(inputs), targets).backward()

    return step


def ort_step(network: Network, inputs: torch.Tensor, choice: str) -> Callable[[], object]:
    """The same in the ort engine."""
    import converters
    from onnxgrid.engines import EngineOptions, KernelChoice, KernelOptions, create_engine
    from onnxgrid.engines.trainable_graph import TrainableGraph
    from onnxgrid.losses import MeanSquaredError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.json"
        path.write_text(json.dumps(network.description()))
        graph = TrainableGraph.from_model(converters.convert(path), str(path))
    name, _, precision = choice.partition(" ")
    engine = create_engine(
        "ort",
        graph,
        MeanSquaredError(),
        seed=0,
        options=EngineOptions(precision=precision or "fp32"),
        kernels=KernelOptions(KernelChoice(name)),
    )
    targets = torch.zeros_like(engine.predict(inputs))
    return lambda: engine.step(inputs, targets, number=0)


def work(name: str, contender: str, threads: int) -> None:
    """One contender: a step for each line that comes in; its time goes out, and peak memory at the end."""
    torch.set_num_threads(threads)
    network = NETWORKS[name]
    inputs = torch.randn(network.inputs, generator=torch.Generator().manual_seed(0))
    step = torch_step(network, inputs) if contender == "torch" else ort_step(network, inputs, contender)
    clock = time.process_time if threads == 1 else time.perf_counter
    for _ in sys.stdin:
        began = clock()
        step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([1e3 * (clock() - began), peak]), flush=True)


class Contender:
    """A process that takes a step when told."""

    def __init__(self, network: str, name: str, threads: int) -> None:
        began = time.perf_counter()
        command = [sys.executable, __file__, "--work", network, name, "--threads", str(threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.milliseconds: list[float] = []
        self.step()
        self.first_s = time.perf_counter() - began
        self.milliseconds.clear()

    def step(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        took, self.peak_mib = json.loads(self._process.stdout.readline())
        self.milliseconds.append(took)

    def end(self) -> None:
        self._process.communicate()


def compare(network: str, names: Sequence[str], threads: int, steps: int, table: Table) -> None:
    contenders = {name: Contender(network, name, threads) for name in dict.fromkeys(("torch", *names))}
    for _ in range(steps + 1):
        for contender in contenders.values():
            contender.step()
    medians = {name: statistics.median(contender.milliseconds[1:]) for name, contender in contenders.items()}
    for name, contender in contenders.items():
        contender.end()
        table.add_row(
            network if name == "torch" else "",
            "torch eager" if name == "torch" else f"ort, {name}",
            f"{medians[name]:.1f}",
            f"{medians['torch'] / medians[name]:.2f}",
            f"{contender.first_s:.1f}",
            f"{contender.peak_mib:.0f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--what", action="append", choices=(*CONTENDERS, "auto bf16"))
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(*arguments.work, arguments.threads)
        return
    kind = "processor time" if arguments.threads == 1 else "wall time"
    table = Table(title=f"One training step: forward, loss, backward ({arguments.threads} threads, {kind})")
    for column in ("network", "what", "step, ms", "torch / this", "first step after, s", "peak, MiB"):
        table.add_column(column, justify="left" if column in ("network", "what") else "right")
    for network in arguments.network or NETWORKS:
        compare(network, arguments.what or CONTENDERS, arguments.threads, arguments.steps, table)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
