"""What a conversion costs in time and memory, beside reading and writing the same bytes, and beside other exporters.

ResNet152 with weights in each of Keras' file formats, DenseNet201 without, and the start of the program; the fastest of
several runs, each a process of its own. Other exporters run where `ONNXGRID_PEERS_PYTHON` names a Python that has them
(README.md). Prints one table. Run: python benchmarks/convert_speed.py
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _cost import Cost, run
from rich.console import Console
from rich.table import Table

RUNS = 5

MB = 1e6

ALLOWED_TIMES_IO, ALLOWED_SECONDS, ALLOWED_TIMES_MEMORY = 1.5, 1.0, 2.5
"""A conversion may take 1.5 times the time of its bytes and a second, and 2.5 times the memory of its weights."""

WEIGHT_FILES = ("resnet152.weights.h5", "resnet152.h5", "resnet152.keras")

MAKE_NETWORKS = """
import keras
resnet = keras.applications.ResNet152(weights=None)
open("resnet152.json", "w").write(resnet.to_json())
for name in {files}:
    resnet.save_weights(name) if name.endswith(".weights.h5") else resnet.save(name)
with keras.device("meta"):
    open("densenet201.json", "w").write(keras.applications.DenseNet201(weights=None).to_json())
"""

PEERS = {
    "keras-torch": "Keras 3 model.export, on torch",
    "keras-tensorflow": "Keras 3 model.export, on TensorFlow",
    "tf2onnx": "tf2onnx, from Keras 2",
}
"""Argument of `_export_with_peer.py` -> what it runs."""


READ_AND_WRITE = """
import sys, time
began, cpu_began = time.perf_counter(), time.process_time()
with open(sys.argv[1], "rb") as source, open("copy.bin", "wb") as copy:
    copy.write(source.read())
print(time.perf_counter() - began, time.process_time() - cpu_began)
"""


def read_and_write(name: str, folder: Path) -> tuple[float, float]:
    """Wall-clock and processor seconds for the bytes of a file, from the system's cache to another file.

    In a process of its own, as the memory of this one would be counted to those that it starts.
    """
    command = [sys.executable, "-c", READ_AND_WRITE, name]
    printed = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True).stdout
    seconds, cpu_seconds = map(float, printed.split())
    return seconds, cpu_seconds


class Costs:
    """The table."""

    def __init__(self) -> None:
        self.table = Table(title="What a conversion costs: the fastest run, the largest memory", title_justify="left")
        for column in ("what", "seconds", "at most", "CPU, s", "peak, MB", "at most"):
            self.table.add_column(column, justify="left" if column == "what" else "right", no_wrap=True)

    def add(self, what: str, costs: Sequence[Cost], limit: float | None, peak_limit: float | None = None) -> None:
        best = min(costs, key=lambda cost: cost.seconds)
        peak = max(cost.peak_bytes for cost in costs)
        numbers = (_shown(limit, 1, 2), f"{best.cpu_seconds:.2f}", _shown(peak, MB, 0), _shown(peak_limit, MB, 0))
        self.table.add_row(what, f"{best.seconds:.2f}", *numbers)


def _shown(number: float | None, unit: float, digits: int) -> str:
    return "" if number is None else f"{number / unit:.{digits}f}"


def measure_weights(costs: Costs, folder: Path) -> None:
    """The bytes and the conversion take turns, so that both see the same machine."""
    for name in WEIGHT_FILES:
        size = (folder / name).stat().st_size
        convert = [sys.executable, "-m", "onnxgrid", "convert", "resnet152.json", "--weights", name, "-o", "net.onnx"]
        turns = [(read_and_write(name, folder), run(convert, folder)) for _ in range(RUNS)]
        (io_seconds, io_cpu), _cost = min(turns)
        costs.table.add_row(f"{name}: read and write its bytes", f"{io_seconds:.2f}", "", f"{io_cpu:.2f}", "", "")
        limit = ALLOWED_TIMES_IO * io_seconds + ALLOWED_SECONDS
        costs.add(f"{name}: onnxgrid convert", [cost for _io, cost in turns], limit, ALLOWED_TIMES_MEMORY * size)


def measure_start(costs: Costs, folder: Path) -> None:
    python = sys.executable
    for what, limit, command in (
        ("densenet201.json: onnxgrid convert", 2.0, [python, "-m", "onnxgrid", "convert", "densenet201.json"]),
        ("import converters", 0.3, [python, "-c", "import converters"]),
        ("onnxgrid --help", 0.3, [python, "-m", "onnxgrid", "--help"]),
    ):
        costs.add(what, [run(command, folder) for _ in range(RUNS)], limit)


def measure_peers(costs: Costs, folder: Path) -> None:
    python = os.environ.get("ONNXGRID_PEERS_PYTHON")
    for peer, title in PEERS.items() if python else ():
        assert python is not None
        command = [python, str(Path(__file__).with_name("_export_with_peer.py")), peer]
        costs.add(f"resnet152: {title}", [run(command, folder)], None)
    if not python:
        costs.table.caption = "Other exporters were not run: set ONNXGRID_PEERS_PYTHON (benchmarks/README.md)."


def main() -> None:
    costs = Costs()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make = MAKE_NETWORKS.format(files=WEIGHT_FILES)
        run([sys.executable, "-c", make], folder, KERAS_BACKEND="torch")
        measure_weights(costs, folder)
        measure_start(costs, folder)
        measure_peers(costs, folder)
    Console(width=100).print(costs.table)


if __name__ == "__main__":
    main()
