"""Two processes of one thread each against one process of two threads, the same global batch: milliseconds of a step.

A step with all that belongs to it: the engine, the exchange of gradients, the optimizer. The two are measured in turns,
while the other waits, and the fastest of each counts. Prints one table. Run: python benchmarks/processes.py
"""

import multiprocessing
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import converters
from onnxgrid.config.optimizer import AdamConfig
from onnxgrid.data.batches import Batch, Rows
from onnxgrid.engines import create_engine
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import Loss, MeanSquaredError, NegativeLogLikelihood
from onnxgrid.optimizers import create_optimizer
from onnxgrid.processes import Launch, Processes, joined
from onnxgrid.training.loop import train_epoch

MODELS = Path(__file__).parent.parent / "models"
BATCH_SIZE, STEPS, ROUNDS = 64, 5, 8
CORES = 2
CASES: list[tuple[str, Loss, str]] = [
    (network, loss, engine)
    for network, loss in (("digits_conv_32", NegativeLogLikelihood()), ("digits_unet_32", MeanSquaredError()))
    for engine in ("ort", "torch")
]


def time_steps(network: str, loss: Loss, engine_name: str, processes: Processes) -> Iterator[float]:
    """Milliseconds of one step, again and again."""
    model = converters.convert(MODELS / f"{network}.json")
    graph = TrainableGraph.from_model(model, network)
    engine = create_engine(engine_name, graph, loss, seed=0, processes=processes)
    optimizer = create_optimizer(AdamConfig(), engine.parameters, engine.gradients)
    rows = BATCH_SIZE // processes.size
    inputs = torch.rand(rows, 1, 32, 32)
    targets = torch.randint(10, (rows,)) if isinstance(loss, NegativeLogLikelihood) else torch.rand_like(inputs)
    batch = Batch(inputs, targets, torch.arange(rows), Rows(processes.rank * rows, rows, BATCH_SIZE))
    while True:
        began = time.perf_counter()
        train_epoch(
            engine, loss, optimizer, iter([batch] * STEPS), first_step=0, on_batch=lambda _: None, processes=processes
        )
        yield (time.perf_counter() - began) / STEPS * 1000


def work(launch: Launch | None, threads: int, orders: Connection) -> None:
    """In one process: for each case, measure whenever an order comes."""
    with joined(launch) as processes:
        torch.set_num_threads(threads)
        for network, loss, engine in CASES:
            times = time_steps(network, loss, engine, processes)
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
            for orders in team:
                orders.send(True)
            best[number] = min(best[number], max([orders.recv() for orders in team]))
    for orders in (*teams[0], *teams[1]):
        orders.send(False)
    return best[0], best[1]


def main() -> None:
    table = Table(title=f"One step of the same batch ({BATCH_SIZE}, 32x32, one channel), ms")
    for column in ("network", "engine", "1 process, 2 threads", "2 processes, 1 thread", "ratio"):
        table.add_column(column, justify="left" if column in ("network", "engine") else "right")
    teams = start_teams()
    for network, _, engine in CASES:
        one, two = measure(teams)
        table.add_row(network, engine, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
