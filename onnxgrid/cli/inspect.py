"""`onnxgrid inspect`: a model or weight file as a table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxgrid.cli.printable import print_table, printable

if TYPE_CHECKING:
    from rich.table import Table

    from onnxgrid.inspection import LayerSummary, ModelSummary, PortSummary

__all__ = ["command", "summary_table"]


@click.command("inspect")
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(model: Path, as_json: bool) -> None:
    """Show the layers, initializers, shapes and counts of MODEL (.onnx), or the arrays of a weight file: .pt, .pth,
    .h5, .weights.h5, .keras, .safetensors, .safetensors.index.json, .npz, .npy.

    \b
    Example:
        onnxgrid inspect unet.onnx
    """
    from onnxgrid.inspection import inspect_model

    summary = inspect_model(model)
    if as_json:
        click.echo(json.dumps(summary.to_json(), indent=2))
        return
    click.secho(_title(summary), bold=True)  # not the table's title, which would be wrapped at the table's width
    print_table(summary_table(summary))
    for line in totals_lines(summary):
        click.echo(line)


def summary_table(summary: "ModelSummary") -> "Table":
    """A row for each layer, and below it one for each parameter and statistic; constants are left to `--json`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for heading in ("Layer", "Class", "Output shape", "Tensor", "Shape", "Type", "Kind"):
        table.add_column(heading, overflow="fold")
    table.add_column("Parameters", justify="right", overflow="fold")
    for layer in summary.layers:
        shown = [tensor for tensor in layer.tensors if tensor.kind != "constant"]
        if not shown and not layer.operators:
            continue
        parameters = str(layer.parameters) if shown else ""
        frozen = " (frozen)" if layer.trainable is False else ""
        first, *rest = [(tensor.name, str(tensor.shape), tensor.dtype, tensor.kind) for tensor in shown] or [("",) * 4]
        of_layer = (layer.name, _class(layer), _shape(layer.output_shape))
        table.add_row(*map(printable, (*of_layer, *first, parameters + frozen)))
        for cells in rest:
            table.add_row("", "", "", *map(printable, cells), "")
    return table


def totals_lines(summary: "ModelSummary") -> list[str]:
    """Inputs, outputs and counts, one a line; what the file does not say is left out."""
    facts = [
        *(("Input", _port(port)) for port in summary.inputs),
        *(("Output", _port(port)) for port in summary.outputs),
        ("Total parameters", summary.total_parameters),
        ("Trainable parameters", summary.trainable_parameters),
        ("Statistics", summary.statistics),
        ("Num of operations", summary.operations),
        ("Bytes", summary.bytes),
    ]
    return [f"{label:<20}: {value}" for label, value in facts if value is not None]


def _title(summary: "ModelSummary") -> str:
    if summary.opset is None:
        return summary.file
    return f"{summary.file}: {summary.name} (opset {summary.opset}, IR version {summary.ir_version})"


def _class(layer: "LayerSummary") -> str:
    return layer.class_name or ", ".join(layer.operators)


def _port(port: "PortSummary") -> str:
    layout = "" if port.layout is None else f", {port.layout.words}"
    return f"{port.name} {port.dtype or ''} {_shape(port.shape)}".rstrip() + layout


def _shape(shape: tuple[int | str | None, ...] | None) -> str:
    return "" if shape is None else f"({', '.join('?' if size is None else str(size) for size in shape)})"
