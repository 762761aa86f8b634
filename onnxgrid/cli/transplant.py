"""`onnxgrid transplant`: weights carried from a file into a model or another file."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxgrid.cli.printable import print_table, printable
from onnxgrid.cli.uncollected import uncollected

if TYPE_CHECKING:
    from rich.table import Table

    from onnxgrid.transplant.report import TransplantReport
    from onnxgrid.transplant.rules import TransplantRules

__all__ = ["command", "report_table"]

FILE = click.Path(dir_okay=False, path_type=Path)

DTYPES = ["float16", "bfloat16", "float32", "float64"]

NO_ADAPTATION = "none"


def _ending(suffix: str) -> Callable[[click.Context, click.Parameter, Path | None], Path | None]:
    # What is written over what stands there must not be able to stand in the place of a model.
    def check(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
        if path is None:
            return None
        if path.suffix.lower() != suffix:
            raise click.BadParameter(f"'{path}' does not end in {suffix}.")
        if not path.parent.is_dir():
            raise click.BadParameter(f"'{path}' is in a folder that does not exist.")
        return path

    return check


def _rules_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what goes where, and how shapes are adapted."""
    options = (
        click.option(
            "--map",
            "renames",
            multiple=True,
            metavar="REGEX=>REPLACEMENT",
            help="Rename what SOURCE holds before it is matched; may be given several times, applied in order.",
        ),
        click.option("--only", multiple=True, metavar="GLOB", help="Carry these layers or parameters of TARGET alone."),
        click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these layers or parameters of TARGET."),
        click.option(
            "--adapt",
            multiple=True,
            metavar="RULE",
            help="Make arrays of another shape fit: center, interpolate, galerkin or inflate (kernels), slice-pad "
            "(channels), dense-resample (a Dense behind a Flatten), or none; tried in order.",
        ),
        click.option(
            "--match",
            type=click.Choice(["name", "structure"]),
            default="name",
            show_default=True,
            help="Pair what has no name in common by the places of the layers in the two graphs.",
        ),
        click.option("--accept-uncertain", is_flag=True, help="Carry also what only looks alike."),
        click.option("--source-graph", type=FILE, help="The model that the weights of SOURCE are of."),
        click.option("--target-graph", type=FILE, help="The model that the weights of TARGET are of."),
        click.option(
            "--source-sizes",
            multiple=True,
            metavar="LAYER=H,W,C",
            help="What the input of a Dense of SOURCE was before a Flatten, where no graph says it.",
        ),
        click.option("--target-sizes", multiple=True, metavar="LAYER=H,W,C", help="The same of TARGET."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is written, and where reports go."""
    options = (
        click.option("--in-place", is_flag=True, help="Let the output be SOURCE or TARGET, which is then replaced."),
        click.option("--dtype", type=click.Choice(DTYPES), help="Of all weights of a weight file that are floats."),
        click.option(
            "--max-shard-bytes", type=click.IntRange(min=1), help="Of each file of a .safetensors.index.json."
        ),
        click.option("--strict", is_flag=True, help="Fail, and write nothing, unless everything matches."),
        click.option("--dry-run", is_flag=True, help="Say what would be done; write no model."),
        click.option(
            "--report",
            type=FILE,
            callback=_ending(".json"),
            help="Write the five lists (copied, adapted, unmatched, mismatched), with the norm and mean of each tensor "
            "before and after, to this .json file.",
        ),
        click.option("--html", type=FILE, callback=_ending(".html"), help="Write the same as a page, layer by layer."),
        click.option(
            "--freeze-out",
            type=FILE,
            callback=_ending(".json"),
            help="Write the layers that were copied as they are, for `freeze` in the next run's configuration.",
        ),
        click.option(
            "--rates-out",
            type=FILE,
            callback=_ending(".json"),
            help="Write groups of copied, adapted and new layers, for `optimizer.layer_rates` there.",
        ),
        click.option("--table", is_flag=True, help="Print a table of all parameters."),
        click.option(
            "--json", "as_json", is_flag=True, help="Print the report as JSON on stdout instead of the lines."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("transplant")
@click.argument("source", type=FILE)
@click.argument("target", type=FILE)
@click.option("-o", "--output", type=FILE, help="The model or weight file to write.")
@_rules_options
@_output_options
@click.pass_context
@uncollected()
def command(
    context: click.Context,
    /,
    source: Path,
    target: Path,
    output: Path | None,
    source_graph: Path | None,
    target_graph: Path | None,
    in_place: bool,
    dtype: str | None,
    max_shard_bytes: int | None,
    strict: bool,
    dry_run: bool,
    report: Path | None,
    html: Path | None,
    freeze_out: Path | None,
    rates_out: Path | None,
    table: bool,
    as_json: bool,
    **rules: Any,
) -> None:
    """Write TARGET with every weight that SOURCE has by the same name and shape.

    SOURCE and TARGET are models (.onnx) or weight files: .pt, .pth, .h5, .weights.h5, .keras, .safetensors, .npz, .npy.
    Ends with 0 if what was asked happened; 1 if no weight was carried, and so nothing written, or a --map matched no
    name; 2 if the files or
    options cannot be used.

    \b
    Example:
        onnxgrid transplant coarse.onnx fine.onnx -o start.onnx --map '^dense_64=>dense_128' --adapt dense-resample
    """
    if output is None and not dry_run:
        raise click.UsageError("Missing option '-o' / '--output' (or ask for a --dry-run).")
    _require_different((source, target, output), (report, html, freeze_out, rates_out))
    from onnxgrid.transplant import transplant

    # Without rules, what is carried can be foreseen, and copying begins before the libraries are loaded.
    done = transplant(
        source,
        target,
        output,
        _rules(**rules) if _asks_for_more(rules) else None,
        source_graph=source_graph,
        target_graph=target_graph,
        strict=strict,
        dry_run=dry_run,
        in_place=in_place,
        dtype=dtype,
        max_shard_bytes=max_shard_bytes,
        statistics=report is not None or html is not None,
    )
    _save(done, report=report, html=html, freeze=freeze_out, rates=rates_out)
    _print(done, table=table, as_json=as_json)
    if not dry_run and (not done.plan.carried or done.unused_renames):
        context.exit(1)


def _require_different(ends: Sequence[Path | None], reports: Sequence[Path | None]) -> None:
    """Nothing, if no report takes the place of a model, or of another report."""
    taken = [path.resolve() for path in ends if path is not None]
    for path in reports:
        if path is not None:
            if path.resolve() in taken:
                raise click.UsageError(f"'{path}' is given for two files.")
            taken.append(path.resolve())


def _asks_for_more(rules: Mapping[str, Any]) -> bool:
    """Whether more is asked for than that what has one name goes to the same name."""
    return any(value for key, value in rules.items() if key != "match") or rules["match"] != "name"


def _rules(*, adapt: tuple[str, ...], **rules: Any) -> "TransplantRules":
    from onnxgrid.transplant.rules import TransplantRules

    if NO_ADAPTATION in adapt and len(adapt) > 1:
        raise click.UsageError(f"--adapt {NO_ADAPTATION} cannot be combined with other rules.")
    return TransplantRules.parse(adapt=() if NO_ADAPTATION in adapt else adapt, **rules)


def _save(
    done: "TransplantReport", *, report: Path | None, html: Path | None, freeze: Path | None, rates: Path | None
) -> None:
    # What each needs takes as long to load as a small transplant takes.
    from onnxgrid.transplant.report import save_report, save_text

    if report is not None:
        save_report(done, report)
    if html is not None:
        from onnxgrid.transplant.html_report import html_page

        save_text(html_page(done), html)
    if freeze is not None:
        from onnxgrid.transplant.next_run import freeze_text

        save_text(freeze_text(done.plan), freeze)
    if rates is not None:
        from onnxgrid.transplant.next_run import rates_text

        save_text(rates_text(done.plan), rates)


def _print(done: "TransplantReport", *, table: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done.to_json(), indent=2))
        return
    if table:
        print_table(report_table(done))
    for line in (*done.plan.pair_lines(), *done.lines(), done.summary()):
        click.echo(printable(line))


def report_table(done: "TransplantReport") -> "Table":
    """A row for each parameter of the target: what became of it, and from what."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from onnxgrid.transplant.layer_rows import rows_by_layer

    table = Table(box=SIMPLE_HEAD)
    for heading in ("Layer", "Parameter", "Outcome", "Shape", "Source", "Shape in source", "Remark"):
        table.add_column(heading, overflow="fold")
    for layer in rows_by_layer(done.plan, done.statistics):
        name = layer.name
        for row in layer.rows:
            in_source = "" if row.source_shape is None else str(row.source_shape)
            cells = (name, row.name, row.outcome, str(row.shape), row.source, in_source, row.remark)
            table.add_row(*map(printable, cells))
            name = ""
    return table
