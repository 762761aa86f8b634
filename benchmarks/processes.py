"""Two processes of one thread each against one process of two threads, the same global batch: milliseconds of a step.

A step with all that belongs to it: the engine, the exchange of gradients, the optimizer. The two are measured in turns,
while the other waits, and the fastest of each counts. Prints one table. Run: python benchmarks/processes.py
"""

import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path

import onnx_ir as ir
import torch
from engine_step import NETWORKS
from rich.console import Console
from rich.table import Table

import converters
from onnxgrid.config.optimizer import AdamConfig
from onnxgrid.data.batches import Batch, Rows
from onnxgrid.engines import ENGINES, create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import Loss, MeanSquaredError, NegativeLogLikelihood
from onnxgrid.optimizers import create_optimizer
from onnxgrid.processes import Launch, Processes, joined
from onnxgrid.training.loop import train_epoch

MODELS = Path(__file__).parent.parent / "models"
STEPS, ROUNDS = 5, 8
CORES = 2
THREADS_ASLEEP_S = 0.5
"""Threads of the team that waits spin for a while before they sleep, and would take the other's processors."""


@dataclass(frozen=True)
class Case:
    """A network, its loss and the shape of a batch. In each step normalizations exchange statistics, both ways."""

    network: str
    loss: Loss
    inputs: tuple[int, ...]

    def model(self) -> ir.Model:
        if self.network in NETWORKS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "network.json")
                path.write_text(json.dumps(NETWORKS[self.network].description()))
                return converters.convert(path)
        return converters.convert(MODELS / f"{self.network}.json")

    def batch(self, processes: Processes) -> Batch:
        """The part of a process."""
        rows = self.inputs[0] // processes.size
        inputs = torch.rand(rows, *self.inputs[1:])
        targets = (
            torch.randint(10, (rows,)) if isinstance(self.loss, NegativeLogLikelihood) else torch.rand_like(inputs)
        )
        place = Rows(processes.rank * rows, rows, self.inputs[0])
        return Batch(inputs, targets, torch.arange(rows), place)


CASES = [
    Case("U-Net 2D small", MeanSquaredError(), NETWORKS["U-Net 2D small"].inputs),
    Case("U-Net 3D", MeanSquaredError(), NETWORKS["U-Net 3D"].inputs),
    Case("digits_unet_32", MeanSquaredError(), (64, 1, 32, 32)),
    Case("digits_conv_32", NegativeLogLikelihood(), (64, 1, 32, 32)),
]


def time_steps(case: Case, engine_name: str, processes: Processes) -> Iterator[float]:
    """Milliseconds of one step, again and again."""
    graph = TrainableGraph.from_model(case.model(), case.network)
    engine = create_engine(engine_name, graph, case.loss, seed=0, processes=processes)
    optimizer = create_optimizer(AdamConfig(), engine.parameters, engine.gradients)
    batch = case.batch(processes)
    while True:
        began = time.perf_counter()
        train_epoch(
            engine, case.loss, optimizer, iter([batch] * STEPS), first_step=0, on_batch=_pass, processes=processes
        )
        yield (time.perf_counter() - began) / STEPS * 1000


def _pass(_batch: object) -> None:
    pass


def work(launch: Launch | None, threads: int, orders: Connection) -> None:
    """In one process: for each case, measure whenever an order comes."""
    with joined(launch) as processes:
        torch.set_num_threads(threads)
        for case, engine in product(CASES, ENGINES):
            times = time_steps(case, engine, processes)
            next(times)  # allocations, first use
            orders.send(0.0)
            while orders.recv():
                orders.send(next(times))


def start_teams() -> tuple[list[Connection], list[Connection]]:
    """One process of two threads, and two processes of one: where to send orders to."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    launches = [None, *(Launch(rank, CORES, rank, CORES, "127.0.0.1", port) for rank in range(CORES))]
    context = multiprocessing.get_context("spawn")
    teams: tuple[list[Connection], list[Connection]] = ([], [])
    for launch in launches:
        ours, theirs = context.Pipe()
        context.Process(target=work, args=(launch, CORES if launch is None else 1, theirs), daemon=True).start()
        teams[launch is not None].append(ours)
    return teams


def measure(teams: tuple[list[Connection], list[Connection]]) -> tuple[float, float]:
    """The next case: best milliseconds of a step, by each team."""
    for orders in (*teams[0], *teams[1]):
        orders.recv()
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for number, team in enumerate(teams):
            time.sleep(THREADS_ASLEEP_S)
            for orders in team:
                orders.send(True)
            best[number] = min(best[number], max([orders.recv() for orders in team]))
    for orders in (*teams[0], *teams[1]):
        orders.send(False)
    return best[0], best[1]


def main() -> None:
    table = Table(title="One step of the same batch, ms")
    for column in ("network", "engine", "1 process, 2 threads", "2 processes, 1 thread", "ratio"):
        table.add_column(column, justify="left" if column in ("network", "engine") else "right")
    teams = start_teams()
    for case, engine in product(CASES, ENGINES):
        one, two = measure(teams)
        table.add_row(case.network, engine, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
