"""Inference by the torch engine with normalizations folded into the layers before them, and as they stand.

Both in one process, in turns; prints the median of each and of the ratios within a turn. With one thread the time is
that of the processor, which a busy machine does not falsify. "anew" folds in each run, as `Engine.predict` does;
evaluation folds once, when the weights are what they are.

Run: python benchmarks/folding.py [--threads N] [--repetitions N]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _networks import resnet50_json, unet_json
from rich.console import Console
from rich.table import Table

import converters
from onnxgrid.engines import create_engine
from onnxgrid.engines.memory_format import channels_innermost
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError

NETWORKS: dict[str, tuple[Callable[[], object], tuple[int, ...]]] = {
    "U-Net 2D small": (lambda: unet_json((64, 64), 16, 3, normalized=True), (8, 1, 64, 64)),
    "U-Net 2D large": (lambda: unet_json((128, 128), 32, 3, normalized=True), (8, 1, 128, 128)),
    "ResNet50, one image": (resnet50_json, (1, 3, 224, 224)),
    "ResNet50": (resnet50_json, (8, 3, 224, 224)),
}

Predict = Callable[[torch.Tensor], torch.Tensor]


def contestants(description: object) -> dict[str, Predict]:
    """The network of a Keras JSON document in each of the ways that are compared: {way: its outputs, given inputs}."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.json"
        path.write_text(json.dumps(description))
        graph = TrainableGraph.from_model(converters.convert(path), str(path))
    engine = create_engine("torch", graph, MeanSquaredError(), seed=0)
    model = graph.model
    program = TorchProgram(model, model.graph.outputs, [], torch.device("cpu"), "network.json")

    @torch.no_grad()
    def as_they_stand(x: torch.Tensor) -> torch.Tensor:
        return program({graph.input_name: channels_innermost(x)})[0]

    return {"as they stand": as_they_stand, "folded": engine.predictor(), "folded anew": engine.predict}


def main() -> None:
    """Time each network in each way, and print a row for each; a difference is a share of the largest output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    table = Table("network", "normalizations", "ms", "times as fast", "differs by")
    for name, (description, shape) in NETWORKS.items():
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        ways = contestants(description())
        first = {way: predict(x) for way, predict in ways.items()}
        plain = first["as they stand"]
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repetitions):
            for way, predict in ways.items():
                began = clock()
                predict(x)
                seconds[way].append(clock() - began)
        for way, taken in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(seconds["as they stand"], taken, strict=True))
            difference = float((first[way] - plain).abs().max() / plain.abs().max())
            table.add_row(name, way, f"{1e3 * statistics.median(taken):.1f}", f"{ratio:.2f}", f"{difference:.0e}")
    Console().print(table)


main()
