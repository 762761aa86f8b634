"""`onnxgrid artifacts`: a network in, ONNX Runtime's artifacts for training on a device out."""

import json
from pathlib import Path

import click

__all__ = ["command"]


@click.command("artifacts")
@click.argument("network", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write into."
)
@click.option(
    "--loss",
    type=click.Choice(["mse", "nll", "bce", "bce-logits"]),
    default="mse",
    show_default=True,
    help="What is minimised; nll takes log-probabilities and class indices.",
)
@click.option("--optimizer", type=click.Choice(["adamw", "sgd"]), default="adamw", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(network: Path, output: Path, loss: str, optimizer: str, as_json: bool) -> None:
    """Write ONNX Runtime's artifacts for training on a device.

    NETWORK is an ONNX model. The artifacts are loaded with onnxruntime.training.api; there ONNX Runtime trains alone,
    so every op of the network must be one that it can differentiate.

    \b
    Example:
        onnxgrid artifacts net.onnx -o artifacts --loss nll --optimizer sgd
    """
    # Imported here because they load torch and onnxruntime, which `--help` must not wait for.
    from onnxgrid.engines import require_ort

    require_ort()
    from onnxgrid.artifacts import ArtifactLoss, ArtifactOptimizer, write_artifacts

    result = write_artifacts(network, output, loss=ArtifactLoss(loss), optimizer=ArtifactOptimizer(optimizer))
    if as_json:
        files = [str(result.folder / name) for name in result.files]
        click.echo(json.dumps({"files": files, "parameters": list(result.parameters), "frozen": result.frozen}))
        return
    click.echo(f"{result.folder}: {', '.join(result.files)}")
    click.echo(f"   {len(result.parameters)} initializers are trained, {result.frozen} are constants")
