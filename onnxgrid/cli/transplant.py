"""`onnxgrid transplant`: weights carried from a file into a model."""

import json
from pathlib import Path

import click

__all__ = ["command"]


def _report_path(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    # A report is written over what stands there, so a model must not be able to stand there.
    if path is not None and path.suffix.lower() != ".json":
        raise click.BadParameter(f"'{path}' does not end in .json.")
    return path


@click.command("transplant")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The model to write (.onnx).")
@click.option(
    "--map",
    "renames",
    multiple=True,
    metavar="REGEX=>REPLACEMENT",
    help="Rename what SOURCE holds before it is matched; may be given several times, applied in order.",
)
@click.option("--strict", is_flag=True, help="Fail, and write nothing, unless everything matches.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write no model.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_report_path,
    help="Write the five lists (copied, adapted, unmatched, mismatched) to this .json file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the same report on stdout instead of the lines.")
def command(
    source: Path,
    target: Path,
    output: Path | None,
    renames: tuple[str, ...],
    strict: bool,
    dry_run: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Write TARGET (.onnx) with every initializer that SOURCE has by the same name and shape.

    SOURCE is a weight file: .onnx, .pt, .pth, .h5, .weights.h5, .keras, .safetensors, .npz or .npy.

    \b
    Example:
        onnxgrid transplant coarse.onnx fine.onnx -o start.onnx --map '^dense_64=>dense_128'
    """
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output' (or ask for a --dry-run).")
    from onnxgrid.transplant import transplant
    from onnxgrid.transplant.matching import Rename
    from onnxgrid.transplant.report import save_report

    done = transplant(
        source, target, output, renames=[Rename.parse(text) for text in renames], strict=strict, dry_run=dry_run
    )
    if report is not None:
        save_report(done, report)
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return
    for line in (*done.lines(), done.summary()):
        click.echo(line)
