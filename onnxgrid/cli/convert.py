"""`onnxgrid convert`: a network JSON in, an ONNX model out."""

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import onnx_ir

__all__ = ["command"]

STANDARD_STREAM = Path("-")


def _sizes(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.split(",")
    if not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"{text!r} is not a list of positive sizes such as 1,128,128.")
    return tuple(int(size) for size in sizes)


@click.command("convert")
@click.argument("network", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Where the model goes; - is the standard output.  [default: beside NETWORK, ending in .onnx]",
)
@click.option(
    "--input-shape",
    metavar="C,H,W",
    callback=_sizes,
    help="Replace the input's shape: channels first, without the batch.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the initial weights.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(network: Path, output: Path | None, input_shape: tuple[int, ...] | None, seed: int, as_json: bool) -> None:
    """Convert a Keras-style network JSON to ONNX.

    NETWORK is a JSON file, or - for the standard input.

    \b
    Example:
        onnxgrid convert models/digits_conv_16.json -o net.onnx
        onnxgrid convert models/digits_conv_16.json --input-shape 1,64,64 -o net_64.onnx
    """
    output = _output_path(network, output)
    # Imported here because they load onnx, which `onnxgrid --help` must not wait for.
    from converters import convert, save_model

    source = Path("/dev/stdin") if network == STANDARD_STREAM else network
    model = convert(source, seed=seed, input_shape=input_shape)
    if output == STANDARD_STREAM:
        with tempfile.TemporaryDirectory() as folder:
            save_model(model, Path(folder, "model.onnx"))
            sys.stdout.buffer.write(Path(folder, "model.onnx").read_bytes())
    else:
        save_model(model, output)
    summary = _summary(model)
    if as_json:
        line = json.dumps({"output": str(output), **summary})
    else:
        line = "{}: {nodes:,} nodes, {initializers:,} initializers, {parameters:,} parameters".format(output, **summary)
    click.echo(line, err=output == STANDARD_STREAM)


def _output_path(network: Path, output: Path | None) -> Path:
    if output is None:
        if network == STANDARD_STREAM:
            raise click.UsageError("A network from the standard input needs -o, the file to write the model to.")
        output = network.with_suffix(".onnx")
    if output == STANDARD_STREAM:
        if sys.stdout.isatty():
            raise click.UsageError(
                "A model is not written to a terminal: send the output to a file, or give one with -o."
            )
    elif output.exists() and network != STANDARD_STREAM and output.samefile(network):
        raise click.UsageError(f"{output} is the network itself: give another file with -o.")
    return output


def _summary(model: "onnx_ir.Model") -> dict[str, int]:
    """Counts of nodes, initializers, and elements of the parameters."""
    from converters.roles import Role, initializer_roles

    initializers = model.graph.initializers
    return {
        "nodes": len(model.graph),
        "initializers": len(initializers),
        "parameters": sum(
            tensor.size
            for name, role in initializer_roles(model).items()
            if role.kind is Role.PARAMETER and (tensor := initializers[name].const_value) is not None
        ),
    }
