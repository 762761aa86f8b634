"""`onnxgrid train`: a run configuration in, a trained network, its checkpoints and the training log out."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from onnxgrid.cli.printable import printable_lines
from onnxgrid.cli.progress import TrainingProgress
from onnxgrid.engines import DEVICES, ENGINES, PRECISIONS, KernelChoice
from onnxgrid.errors import WorkFailed

__all__ = ["command"]

LogLine = Callable[[str], None]


class _TrainCommand(click.Command):
    """Reads `--config= FILE` like `--config FILE`: the spelling of many published command lines."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [arg[:-1] if arg in ("--config=", "--app=") else arg for arg in args])


SILENT_PROFILER = {"KINETO_LOG_LEVEL": "6", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""What keeps torch's profiler from writing to the terminal. The second is read when torch is loaded."""


@click.command("train", cls=_TrainCommand)
@click.argument("config", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-c",
    "--config",
    "config_option",
    metavar="CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same as the argument.",
)
@click.option(
    "--app",
    expose_value=False,  # there is one kind of run so far; published command lines name it
    default="dnn",
    show_default=True,
    type=click.Choice(["dnn"], case_sensitive=False),
    help="The kind of run.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="What computes losses and gradients: ONNX Runtime, or torch.  [default: ort where it is installed]",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="What it is computed on; auto is a GPU where the engine can use one, else the CPU.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="bf16: convolutions and matrix products in bfloat16, weights in float32.  [default: fp32]",
)
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Let torch.compile write code for this network; it pays in long runs (torch engine).  [default: no-compile]",
)
@click.option(
    "--kernel-choice",
    type=click.Choice([choice.value for choice in KernelChoice]),
    help="What computes convolutions, pooling and the like in the ort engine: what is fastest here, ONNX Runtime's own "
    "kernels, or torch's.  [default: auto]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of initial weights and data order.")
@click.option("--num-epochs", type=click.IntRange(1, 2**31 - 1), help="Instead of the configuration's num_epochs.")
@click.option("--resume", is_flag=True, help="Go on from the newest whole checkpoint of this run.")
@click.option(
    "--accumulate",
    type=click.IntRange(1, 2**31 - 1),
    default=1,
    show_default=True,
    metavar="K",
    help="Take a step for every K batches: the gradients of a K times larger batch in the memory of one.",
)
@click.option("--detect-anomaly", is_flag=True, help="Name the node and layer, if a loss or a gradient is not finite.")
@click.option(
    "--profile",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Measure three steps: time and memory of each layer to the log and DIR/layers.csv, a Chrome trace to DIR.",
)
@click.option("--shard-optimizer", is_flag=True, help="Divide the optimizer's state among the processes.")
@click.option(
    "--elastic", is_flag=True, help="When torchrun starts the processes again, go on from the newest checkpoint."
)
@click.option("--strict", is_flag=True, help="A checkpoint that does not match the network exactly is an error.")
@click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Replace one value of the configuration, as optimizer.learning_rate=0.01; may be repeated.",
)
@click.option("--timestamps", is_flag=True, help="Begin every log line with date and time.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; the log then goes to stderr.")
def command(
    config: Path | None,
    config_option: Path | None,
    kernel_choice: str | None,
    profile: Path | None,
    timestamps: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the network that a run configuration describes.

    CONFIG is a JSON file. The log goes to the standard output, and a progress bar to the terminal.

    \b
    Example:
        onnxgrid train models/run_conv_16.json
        onnxgrid train models/run_conv_16.json --num-epochs 2 --set optimizer.learning_rate=0.01
    """
    path = _one_config(config, config_option)
    if find_spec("torch") is None:
        raise WorkFailed(
            "training needs PyTorch, which is not installed.", fix="Install it with: pip install 'onnxgrid[train]'"
        )
    if profile is not None:
        os.environ.update(SILENT_PROFILER)
    # Imported here because it loads torch, which `onnxgrid train --help` must not wait for.
    from onnxgrid import train

    progress = TrainingProgress() if sys.stderr.isatty() else None
    with progress or nullcontext():
        result = train(
            path,
            kernel_choice=None if kernel_choice is None else KernelChoice(kernel_choice),
            profile=profile,
            log=_log(progress, to_stderr=as_json, timestamps=timestamps),
            progress=progress,
            **options,
        )
    if as_json:
        click.echo(json.dumps(result.to_json()))


def _one_config(argument: Path | None, option: Path | None) -> Path:
    if argument and option:
        raise click.UsageError(f"Two configurations are given, {argument} and {option}: give one.")
    path = argument or option
    if path is None:
        raise click.UsageError("Missing argument 'CONFIG'.")
    return path


def _log(progress: TrainingProgress | None, *, to_stderr: bool, timestamps: bool) -> LogLine:
    """A function that prints one line of the log, above the progress bar where both share a terminal."""

    def echo(line: str) -> None:
        click.echo(printable_lines(line), err=to_stderr)  # flushes, so that a reader of the log is never behind

    def above_bar(line: str) -> None:
        assert progress is not None
        progress.print_line(printable_lines(line))

    write = above_bar if progress is not None and (to_stderr or _same_terminal()) else echo
    return (lambda line: write(f"[{datetime.now():%Y-%b-%d %H:%M:%S.%f}] {line}")) if timestamps else write


def _same_terminal() -> bool:
    return sys.stdout.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
