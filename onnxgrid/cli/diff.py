"""`onnxgrid diff`: how two models or weight files differ."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxgrid.cli.printable import print_table, printable

if TYPE_CHECKING:
    from rich.table import Table

    from onnxgrid.difference import ModelDifference

__all__ = ["command"]

FILE = click.Path(dir_okay=False, path_type=Path)

DIFFERENT = 1
"""As the command diff ends, where two files differ."""


@click.command("diff")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Tensors whose difference, in norm and relative to A, is not larger count as equal.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@click.pass_context
def command(context: click.Context, /, a: Path, b: Path, tolerance: float, as_json: bool) -> None:
    """Compare the structure and the weights of A and B, layer by layer, the largest difference first.

    A and B are models (.onnx) or weight files; structures are compared if both are models. Ends with 0 if they are
    equal, with 1 if they differ, with 2 if a file cannot be used.

    \b
    Example:
        onnxgrid diff checkpoints/model_checkpoint_1.onnx checkpoints/model_checkpoint_2.onnx
    """
    from onnxgrid.difference import diff

    found = diff(a, b, tolerance=tolerance)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    if not found.equal:
        context.exit(DIFFERENT)


def _print(found: "ModelDifference") -> None:
    for line in _structure_lines(found):
        click.echo(line)
    if any(layer.tensors for layer in found.layers):
        print_table(_tensor_table(found))
    click.echo(_summary(found))


def _structure_lines(found: "ModelDifference") -> list[str]:
    lines = list(found.structure)
    return lines + [f"layer {layer.name}: {line}" for layer in found.layers for line in layer.structure]


def _tensor_table(found: "ModelDifference") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for heading in ("Layer", "Tensor"):
        table.add_column(heading, overflow="fold")
    for heading in ("Largest difference", "Relative"):
        table.add_column(heading, justify="right")
    for heading in ("In A", "In B"):
        table.add_column(heading, overflow="fold")
    for layer in found.layers:
        name = layer.name
        for tensor in layer.tensors:
            numbers = (_number(tensor.largest), _number(tensor.relative))
            cells = (name, tensor.name, *numbers, tensor.in_a or "absent", tensor.in_b or "absent")
            table.add_row(*map(printable, cells))
            name = ""
    return table


def _number(number: float | None) -> str:
    if number is None:
        return ""
    return "not finite" if number == math.inf else f"{number:.3g}"


def _summary(found: "ModelDifference") -> str:
    what = "structure and weights" if found.graphs else "weights"
    if found.equal:
        return f"{found.a} and {found.b}: {what} are equal ({found.compared} tensors)"
    tensors = sum(len(layer.tensors) for layer in found.layers)
    structural = len(_structure_lines(found))
    return (
        f"{found.a} and {found.b}: {tensors} tensors and {structural} points of structure differ; "
        f"{found.compared} tensors were compared"
    )
