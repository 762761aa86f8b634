"""`onnxgrid convert`: a network JSON in, an ONNX model out; or a model in, the JSON of its network out."""

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from converters.model_suffix import MODEL_SUFFIX, is_model_file
from onnxgrid.cli.printable import printable
from onnxgrid.cli.uncollected import uncollected

if TYPE_CHECKING:
    import onnx_ir

    from onnxgrid.conversion import Conversion, KerasConversion

__all__ = ["command"]

STANDARD_STREAM = Path("-")

JSON_SUFFIX = ".json"
ARCHIVE_SUFFIX = ".keras"

FOR_BOTH_WAYS = frozenset({"as_json", "network", "output", "weights_out"})
"""Parameters that go with a model too; the others say how a network becomes one."""


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
    help="Where the result goes; - is the standard output.  [default: beside NETWORK, ending in .onnx, or .json]",
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
@click.option(
    "--weights-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the weights too: .weights.h5, .keras or .h5 for Keras, .safetensors, .npz or .pt.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
@uncollected()
def command(
    context: click.Context,
    /,
    network: Path,
    output: Path | None,
    opset: int | None,
    io_layout: str,
    as_json: bool,
    weights_out: Path | None,
    **options: Any,
) -> None:
    """Convert a Keras-style network JSON to ONNX, or back.

    NETWORK is a JSON file or a .keras archive, or - for a JSON on the standard input; or a model (.onnx) that was made
    so, which becomes the JSON of Keras 3 that keras.models.model_from_json takes.

    \b
    Example:
        onnxgrid convert models/digits_conv_16.json -o net.onnx
        onnxgrid convert models/digits_conv_16.json --input-shape 1,64,64 -o net_64.onnx
        onnxgrid convert resnet50.json --weights resnet50.weights.h5
        onnxgrid convert unet.keras --dynamic-spatial --fold-batchnorm --check -o unet.onnx
        onnxgrid convert trained.onnx -o trained.json --weights-out trained.weights.h5
    """
    if is_model_file(network):
        _require_no_options(context)
        output = _json_path(network, output)
        from onnxgrid.conversion import to_keras

        given_back = to_keras(network, _file(output), weights_out=weights_out)
        if output == STANDARD_STREAM:
            click.echo(given_back.json, nl=False)
        _tell(given_back, output, as_json)
        return
    if options["strict"] and options["weights"] is None and network.suffix.lower() != ARCHIVE_SUFFIX:
        raise click.UsageError("--strict says that the weights must be those of the network: give them with --weights.")
    output = _model_path(network, output)
    # Imported here because they load onnx, which `onnxgrid --help` must not wait for.
    from converters.layers.graph_builder import IoLayout
    from onnxgrid.conversion import convert

    source = Path("/dev/stdin") if network == STANDARD_STREAM else network
    how = {"opset": _opset(opset), "io_layout": IoLayout(io_layout), **options}
    converted = convert(source, _file(output), weights_out=weights_out, **how)
    if output == STANDARD_STREAM:
        _write_to_stdout(converted.model)
    _tell(converted, output, as_json)


def _require_no_options(context: click.Context) -> None:
    """Nothing, if no option was given that says how a network becomes a model."""
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in FOR_BOTH_WAYS
        and context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    ]
    if given:
        goes = "says" if len(given) == 1 else "say"
        raise click.UsageError(f"{', '.join(given)} {goes} how a network becomes a model, and NETWORK is a model.")


def _opset(opset: int | None) -> int:
    from converters.build import DEFAULT_OPSET
    from converters.layers.opsets import MAX_OPSET, MIN_OPSET

    if opset is not None and not MIN_OPSET <= opset <= MAX_OPSET:
        raise click.BadParameter(f"{opset} is not from {MIN_OPSET} to {MAX_OPSET}.", param_hint="'--opset'")
    return DEFAULT_OPSET if opset is None else opset


def _model_path(network: Path, output: Path | None) -> Path:
    """Where the model of a network goes."""
    if output is None:
        if network == STANDARD_STREAM:
            raise click.UsageError("A network from the standard input needs -o, the file to write the model to.")
        output = network.with_suffix(MODEL_SUFFIX)
    if output == STANDARD_STREAM:
        if sys.stdout.isatty():
            raise click.UsageError(
                "A model is not written to a terminal: send the output to a file, or give one with -o."
            )
    elif output.exists() and network != STANDARD_STREAM and output.samefile(network):
        raise click.UsageError(f"{output} is the network itself: give another file with -o.")
    elif not is_model_file(output):
        raise click.UsageError(f"{output} does not end in {MODEL_SUFFIX}: what comes of a network is a model.")
    return output


def _json_path(model: Path, output: Path | None) -> Path:
    """Where the JSON of a model's network goes; without being told so, it replaces nothing."""
    if output is None:
        output = model.with_suffix(JSON_SUFFIX)
        if output.exists():
            raise click.UsageError(
                f"{output} is there, and may be the network that the model was made of: name the output with -o."
            )
    if output != STANDARD_STREAM and output.suffix.lower() != JSON_SUFFIX:
        raise click.UsageError(
            f"{output} does not end in {JSON_SUFFIX}: what comes of a model is the JSON of its network."
        )
    return output


def _file(output: Path) -> Path | None:
    return None if output == STANDARD_STREAM else output


def _tell(done: "Conversion | KerasConversion", output: Path, as_json: bool) -> None:
    """Print what was done: on stderr, if the result itself went to the standard output."""
    streamed = output == STANDARD_STREAM
    if as_json:
        click.echo(json.dumps({"output": str(output), **done.to_json()}), err=streamed)
        return
    counts = ", ".join(f"{count:,} {what}" for what, count in done.counts().items())
    for line in (*done.lines(), f"{output}: {counts}"):
        click.echo(printable(line), err=streamed)


def _write_to_stdout(model: "onnx_ir.Model") -> None:
    from converters import save_model

    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder, "model.onnx"), durable=False)
        sys.stdout.buffer.write(Path(folder, "model.onnx").read_bytes())
