"""What the training loop itself costs: the share of an epoch's time outside the engine's step and the data.

Everything a real run does is done: Adam, the gradient norm, the log lines (into a file), the result files. Prints one
table. Run: python benchmarks/loop_overhead.py
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import converters
from onnxgrid.config.optimizer import AdamConfig
from onnxgrid.data.batches import Batch
from onnxgrid.engines import create_engine
from onnxgrid.engines.engine import Engine, Part, StepResult
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import Loss, MeanSquaredError, NegativeLogLikelihood
from onnxgrid.optimizers import create_optimizer
from onnxgrid.training.log import RunLog
from onnxgrid.training.loop import TrainedBatch, train_epoch
from onnxgrid.training.result_files import ResultFiles

MODELS = Path(__file__).parent.parent / "models"
BATCH_SIZE, BATCHES, EPOCHS = 64, 23, 5
"""1437 images, as in the demo; the fastest of the epochs counts."""


class TimedEngine:
    """An engine that adds up the time of its steps."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.gradients, self.seconds = engine, engine.gradients, 0.0

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, *, number: int, part: Part) -> StepResult:
        began = time.perf_counter()
        result = self.engine.step(inputs, targets, number=number, part=part)
        self.seconds += time.perf_counter() - began
        return result


def measure(network: str, loss: Loss, engine_name: str) -> tuple[float, float]:
    """Milliseconds of one step, and the loop's share of the time besides it."""
    model = converters.convert(MODELS / f"{network}.json")
    engine = create_engine(engine_name, TrainableGraph.from_model(model, network), loss, seed=0)
    optimizer = create_optimizer(AdamConfig(), engine.parameters, engine.gradients)
    inputs = torch.rand(BATCH_SIZE, 1, 32, 32)
    targets = torch.randint(10, (BATCH_SIZE,)) if isinstance(loss, NegativeLogLikelihood) else torch.rand_like(inputs)
    batch = Batch(inputs, targets, torch.arange(BATCH_SIZE))
    best = (float("inf"), 0.0)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log_file:
        log = RunLog(lambda line: print(line, file=log_file, flush=True))
        with ResultFiles(Path(folder) / "run.txt") as files:

            def on_batch(trained: TrainedBatch) -> None:
                log.trained(1, EPOCHS, BATCHES, trained)
                files.trained(1, time.perf_counter(), trained)

            def batches() -> Iterator[Batch]:
                return iter([batch] * BATCHES)

            for _ in range(EPOCHS):
                timed = TimedEngine(engine)
                began = time.perf_counter()
                train_epoch(timed, loss, optimizer, batches(), first_step=0, on_batch=on_batch)  # type: ignore[arg-type]
                total = time.perf_counter() - began
                best = min(best, (timed.seconds / BATCHES * 1000, (total - timed.seconds) / timed.seconds))
    return best


def main() -> None:
    table = Table(title="The loop's own time beside the engine's step (batch 64, 32x32, one channel)")
    for column in ("network", "engine", "step, ms", "loop / step"):
        table.add_column(column, justify="left" if column in ("network", "engine") else "right")
    for network, loss in (("digits_conv_32", NegativeLogLikelihood()), ("digits_unet_32", MeanSquaredError())):
        for engine in ("ort", "torch"):
            milliseconds, share = measure(network, loss, engine)
            table.add_row(network, engine, f"{milliseconds:.1f}", f"{100 * share:.2f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
