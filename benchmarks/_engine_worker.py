"""Training steps of an engine, or of plain torch, one for each line on the standard input; `peer_steps.py` runs it.

Arguments: the engine, the precision, the ONNX model or for torch the name of the network, the shapes of inputs and
targets in its order, and whether one processor must do. Writes the seconds of each step, wall-clock and of processors.
"""

import json
import os
import sys
import time

engine_name, precision, network, inputs, targets, alone = sys.argv[1:]
if alone == "alone":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts processors

from collections.abc import Callable  # noqa: E402

import onnx_ir as ir  # noqa: E402
import torch  # noqa: E402
from engine_step import NETWORKS  # noqa: E402

from onnxgrid.config.optimizer import SGDConfig  # noqa: E402
from onnxgrid.engines import create_engine  # noqa: E402
from onnxgrid.engines.options import EngineOptions  # noqa: E402
from onnxgrid.engines.trainable_graph import TrainableGraph  # noqa: E402
from onnxgrid.losses import MeanSquaredError  # noqa: E402
from onnxgrid.optimizers import create_optimizer  # noqa: E402

LEARNING_RATE = 1e-6


def step_of_engine(x: torch.Tensor, y: torch.Tensor) -> Callable[[int], None]:
    graph = TrainableGraph.from_model(ir.load(network), network)
    engine = create_engine(engine_name, graph, MeanSquaredError(), seed=0, options=EngineOptions(precision=precision))
    optimizer = create_optimizer(SGDConfig(learning_rate=LEARNING_RATE), engine.parameters, engine.gradients)

    def step(number: int) -> None:
        engine.step(x, y, number=number)
        optimizer.step()

    return step


def step_of_torch(x: torch.Tensor, y: torch.Tensor) -> Callable[[int], None]:
    module = NETWORKS[network].module()
    optimizer = torch.optim.SGD(module.parameters(), LEARNING_RATE)

    def step(_number: int) -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(x), y).backward()
        optimizer.step()

    return step


def main() -> None:
    x, y = (torch.randn(json.loads(shape)) for shape in (inputs, targets))
    step = (step_of_torch if engine_name == "eager" else step_of_engine)(x, y)
    for number, _order in enumerate(sys.stdin):
        began, cpu_began = time.perf_counter(), time.process_time()
        step(number)
        print(time.perf_counter() - began, time.process_time() - cpu_began, flush=True)


main()
