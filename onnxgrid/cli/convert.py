"""`onnxgrid convert`: a network JSON in, an ONNX model out."""

import gc
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

ARCHIVE_SUFFIX = ".keras"
"""Of files that hold a network and its weights."""


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
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A weight file of any known format.  [default: those of NETWORK, if it is a .keras archive]",
)
@click.option("--strict", is_flag=True, help="Fail, and write nothing, unless the weights are those of the network.")
@click.option("--opset", type=int, help="Opset of the model, from 13 to the newest that onnx knows.  [default: 17]")
@click.option(
    "--io-layout",
    type=click.Choice(["channels_first", "channels_last"]),
    default="channels_first",
    show_default=True,
    help="Where the channels stand in inputs and outputs.",
)
@click.option("--dynamic-spatial", is_flag=True, help="Leave height, width and depth open: the model runs at any size.")
@click.option("--fold-batchnorm", is_flag=True, help="Fold normalizations into the layers before them: for use only.")
@click.option(
    "--check", is_flag=True, help="Run the model on random input, and compare it with Keras if that is there."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    network: Path,
    output: Path | None,
    input_shape: tuple[int, ...] | None,
    seed: int,
    weights: Path | None,
    strict: bool,
    opset: int | None,
    io_layout: str,
    dynamic_spatial: bool,
    fold_batchnorm: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Convert a Keras-style network JSON to ONNX.

    NETWORK is a JSON file or a .keras archive, or - for a JSON on the standard input.

    \b
    Example:
        onnxgrid convert models/digits_conv_16.json -o net.onnx
        onnxgrid convert models/digits_conv_16.json --input-shape 1,64,64 -o net_64.onnx
        onnxgrid convert resnet50.json --weights resnet50.weights.h5
        onnxgrid convert unet.keras --dynamic-spatial --fold-batchnorm --check -o unet.onnx
    """
    output = _output_path(network, output)
    # Imported here because they load onnx, which `onnxgrid --help` must not wait for.
    from converters import convert, save_model
    from converters.layers.layer_builder import IoLayout

    gc.freeze()  # what was imported stays; looking through it for garbage takes a tenth of the time of a conversion
    source = Path("/dev/stdin") if network == STANDARD_STREAM else network
    model = convert(
        source,
        seed=seed,
        input_shape=input_shape,
        opset=_opset(opset),
        io_layout=IoLayout(io_layout),
        dynamic_spatial=dynamic_spatial,
    )
    if weights is None and network.suffix.lower() == ARCHIVE_SUFFIX:
        weights = network
    filled = None
    if weights is not None:
        from onnxgrid.transplant.files import fill_from_file

        model, filled = fill_from_file(weights, model, str(network), strict=strict)
    report = None
    if check:
        from onnxgrid.check import check_model

        read_again = None if network == STANDARD_STREAM else network
        report = check_model(model, read_again, channels_last=io_layout == "channels_last", seed=seed)
    if fold_batchnorm:
        from converters.batchnorm_folding import fold_batch_normalization

        fold_batch_normalization(model)
    if output == STANDARD_STREAM:
        with tempfile.TemporaryDirectory() as folder:
            save_model(model, Path(folder, "model.onnx"))
            sys.stdout.buffer.write(Path(folder, "model.onnx").read_bytes())
    else:
        save_model(model, output)
    summary = _summary(model)
    if as_json:
        lists = {} if filled is None else {"weights": filled.to_json()}
        checked = {} if report is None else {"check": report.to_json()}
        line = json.dumps({"output": str(output), **summary, **lists, **checked})
    else:
        for found in () if report is None else report.lines():
            click.echo(found, err=output == STANDARD_STREAM)
        for skipped in () if filled is None else filled.lines():
            click.echo(skipped, err=output == STANDARD_STREAM)
        line = "{}: {nodes:,} nodes, {initializers:,} initializers, {parameters:,} parameters".format(output, **summary)
    click.echo(line, err=output == STANDARD_STREAM)


def _opset(opset: int | None) -> int:
    from converters.build import DEFAULT_OPSET
    from converters.layers.opsets import MAX_OPSET, MIN_OPSET

    if opset is not None and not MIN_OPSET <= opset <= MAX_OPSET:
        raise click.BadParameter(f"{opset} is not from {MIN_OPSET} to {MAX_OPSET}.", param_hint="'--opset'")
    return DEFAULT_OPSET if opset is None else opset


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
