"""What a transplant of a model of 2 GB costs beside copying its files, and what looking into it costs.

Source and target have their data in external files of 64 matrices of 32 MiB; where one of them has the same name in
both, 1 % of the bytes match. `cp` and the program take turns, each turn in an empty folder and after all was written to
disk, and each ratio is taken within a turn. Prints one table. Run: python benchmarks/transplant_speed.py
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from _cost import Cost, run
from onnx import TensorProto, helper
from rich.console import Console
from rich.table import Table

TURNS = 7

MB = 1e6

LAYERS, ROWS, COLUMNS = 64, 2048, 4096
"""64 times 32 MiB."""

PROGRAM = (sys.executable, "-m", "onnxgrid")

COLUMNS_OF_TABLE = (
    "what",
    "cp, s",
    "seconds",
    "at most",
    "CPU, s",
    "ratio, best / median",
    "CPU ratio",
    "MB",
    "at most",
)

MAKE_RESNET50 = """
import keras
keras.applications.ResNet50(weights=None).save("resnet50.h5")
"""


@dataclass(frozen=True)
class Row:
    """A figure: what is run, what it is measured beside, and how much it may cost.

    Args:
        copied: what `cp` copies in a turn; empty if nothing is copied.
        times, seconds: the time may be so many times that of `cp`, and so many seconds more.
        peak: in MB; None if it may be any.
    """

    what: str
    command: tuple[str, ...]
    copied: str
    times: float
    seconds: float
    peak: float | None


ROWS_OF_TABLE = (
    Row(
        "2 GB, all matched",
        ("transplant", "source/m.onnx", "target/m.onnx", "-o", "out/m.onnx"),
        "target",
        1.3,
        0.0,
        300,
    ),
    Row(
        "2 GB, 1 % matched",
        ("transplant", "other/m.onnx", "target/m.onnx", "-o", "out/m.onnx"),
        "target",
        1.1,
        0.0,
        None,
    ),
    Row("inspect, 2 GB", ("inspect", "target/m.onnx", "--json"), "", 0.0, 1.5, 200),
    Row(
        "ResNet50, .h5 to .safetensors",
        ("transplant", "resnet50.h5", "resnet50.h5", "-o", "out/r.safetensors"),
        "resnet50.h5",
        2.0,
        0.5,
        None,
    ),
)


def make_models(folder: Path) -> None:
    names = [f"layer_{n}" for n in range(LAYERS)]
    make_model(folder / "source", names, 0)
    make_model(folder / "target", names, 1)
    make_model(folder / "other", [names[0], *(f"unknown_{n}" for n in range(1, LAYERS))], 2)


def make_model(folder: Path, names: Sequence[str], seed: int) -> None:
    """A chain of matrices with data in an external file."""

    folder.mkdir()
    block = np.random.default_rng(seed).standard_normal(ROWS * COLUMNS, dtype=np.float32).tobytes()
    initializers, nodes, value = [], [], "x"
    with (folder / "m.data").open("wb") as data:
        for name in names:
            weight = TensorProto(name=f"{name}.weight", data_type=TensorProto.FLOAT, dims=[ROWS, COLUMNS])
            weight.data_location = TensorProto.EXTERNAL
            for key, said in (("location", "m.data"), ("offset", str(data.tell())), ("length", str(len(block)))):
                weight.external_data.add(key=key, value=said)
            data.write(block)
            bias = helper.make_tensor(f"{name}.bias", TensorProto.FLOAT, [COLUMNS], bytes(4 * COLUMNS), raw=True)
            initializers += [weight, bias]
            nodes.append(helper.make_node("Gemm", [value, weight.name, bias.name], [f"{name}.out"], name=name))
            value = f"{name}.out"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", ROWS])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "m.onnx")


def turn(row: Row, folder: Path) -> tuple[Cost | None, Cost]:
    """The costs of copying and of the program, one after the other."""
    copying = None
    if row.copied:
        empty(folder / "copy")
        copying = run(["cp", "-r", row.copied, "copy/"], folder)
        empty(folder / "copy")
    empty(folder / "out")
    cost = run([*PROGRAM, *row.command], folder)
    empty(folder / "out")
    return copying, cost


def empty(folder: Path) -> None:
    """What was there is written no more."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()


def measure(row: Row, folder: Path, turns: int, table: Table) -> None:
    run([*PROGRAM, *row.command], folder)  # so that the files are in memory, and the program's modules are compiled
    costs = [turn(row, folder) for _ in range(turns)]
    _copying, cost = min(costs, key=lambda pair: pair[1].seconds)
    ratios = sorted(c.seconds / k.seconds for k, c in costs if k is not None)
    cpu_ratios = sorted(c.cpu_seconds / k.cpu_seconds for k, c in costs if k is not None)
    fastest_copy = min((k.seconds for k, _cost in costs if k is not None), default=None)
    limit = row.seconds + row.times * (fastest_copy or 0.0)
    table.add_row(
        row.what,
        "" if fastest_copy is None else f"{fastest_copy:.2f}",
        f"{cost.seconds:.2f}",
        f"{limit:.2f}",
        f"{cost.cpu_seconds:.2f}",
        f"{ratios[0]:.2f} / {ratios[len(ratios) // 2]:.2f}" if ratios else "",
        f"{cpu_ratios[len(cpu_ratios) // 2]:.2f}" if cpu_ratios else "",
        f"{max(c.peak_bytes for _copying, c in costs) / MB:.0f}",
        "" if row.peak is None else f"{row.peak:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--folder", help="where some 9 GB of files go for the time being")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_models(options.make)
        return
    table = Table(title="Transplants beside cp: the fastest turn", title_justify="left")
    for column in (
        "what",
        "cp, s",
        "seconds",
        "at most",
        "CPU, s",
        "ratio, best / median",
        "CPU ratio",
        "MB",
        "at most",
    ):
        table.add_column(column, justify="left" if column == "what" else "right", no_wrap=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        run([sys.executable, __file__, "--make", temporary], folder)
        run([sys.executable, "-c", MAKE_RESNET50], folder, KERAS_BACKEND="torch")
        (folder / "out").mkdir()
        for row in ROWS_OF_TABLE:
            measure(row, folder, options.turns, table)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
