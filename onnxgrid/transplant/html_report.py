"""A report as a page of its own: every layer with its colour, every parameter with what became of it.

The page loads nothing and runs nothing; every text of a file is escaped. Colours never stand alone: the word stands
beside them.
"""

from collections.abc import Iterable
from html import escape

from onnxgrid.transplant.layer_rows import OUTCOMES, LayerRows, ParameterRow, rows_by_layer
from onnxgrid.transplant.report import TransplantReport

__all__ = ["html_page"]

COLOURS = {
    "copied": "#c8e6c9",
    "adapted": "#bbdefb",
    "excluded": "#e0e0e0",
    "uncertain": "#fff59d",
    "shape mismatch": "#ffcc80",
    "not found": "#ffcdd2",
    "in part": "#ffe0b2",
}

HEADINGS = ("Parameter", "Outcome", "Shape", "Source", "Shape in source", "Remark")
STATISTICS_HEADINGS = ("Norm before", "Norm after", "Mean before", "Mean after")

STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em; color: #111; }
table { border-collapse: collapse; margin-bottom: 2em; }
th, td { border: 1px solid #bbb; padding: .2em .6em; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.layer td { font-weight: bold; }
span.outcome { border: 1px solid #999; padding: .1em .5em; margin-right: .5em; }
"""


def html_page(report: TransplantReport) -> str:
    """The page: files and counts, the layers of the target in its order, and what of the source is not used."""
    layers = rows_by_layer(report.plan, report.statistics)
    files = [("Source", report.source), ("Target", report.target), ("Output", report.out or "none")]
    unused = report.plan.unmatched_in_source
    parts = [
        "<h1>Transplant</h1>",
        _table(("", "File"), (_cells((role, name)) for role, name in files)),
        f"<p>{escape(report.summary())}</p>",
        "<p>" + "".join(_outcome(outcome) for outcome in (*OUTCOMES, "in part")) + "</p>",
        "<h2>Layers of the target</h2>",
        _table(
            (*HEADINGS, *(STATISTICS_HEADINGS if report.statistics else ())),
            (row for layer in layers for row in _layer(layer, with_statistics=bool(report.statistics))),
        ),
    ]
    if unused:
        parts.append("<h2>Not used of the source</h2>")
        rows = (_cells((weight.stored_name, weight.renamed, str(weight.shape))) for weight in unused)
        parts.append(_table(("Name", "After renames", "Shape"), rows))
    title = escape(f"Transplant of {report.source} into {report.target}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _layer(layer: LayerRows, *, with_statistics: bool) -> Iterable[str]:
    columns = len(HEADINGS) + (len(STATISTICS_HEADINGS) if with_statistics else 0)
    colour = COLOURS[layer.outcome]
    yield (
        f'<tr class="layer" style="background: {colour}"><td>{escape(layer.name)}</td>'
        f'<td colspan="{columns - 1}">{layer.outcome}</td></tr>'
    )
    for row in layer.rows:
        yield f'<tr style="background: {COLOURS[row.outcome]}">{_parameter(row, with_statistics=with_statistics)}</tr>'


def _parameter(row: ParameterRow, *, with_statistics: bool) -> str:
    in_source = "" if row.source_shape is None else str(row.source_shape)
    cells = "".join(
        f"<td>{escape(text)}</td>"
        for text in (row.name, row.outcome, str(row.shape), row.source, in_source, row.remark)
    )
    if not with_statistics:
        return cells
    change = row.change
    numbers = () if change is None else (change.before.norm, change.after.norm, change.before.mean, change.after.mean)
    shown = [f"{number:.6g}" for number in numbers] or [""] * len(STATISTICS_HEADINGS)
    return cells + "".join(f'<td class="number">{text}</td>' for text in shown)


def _outcome(outcome: str) -> str:
    return f'<span class="outcome" style="background: {COLOURS[outcome]}">{outcome}</span>'


def _cells(texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in texts) + "</tr>"


def _table(headings: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"
