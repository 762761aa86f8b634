"""What a report says of the values, and its page."""

import html.parser
import json

import numpy as np
import pytest

import onnxgrid
from onnxgrid.transplant.html_report import html_page
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.statistics import CHUNK, statistics_of
from tests.small_models import numbered, save_small_model


def test_norm_and_mean_are_numpys():
    for values in (numbered((3, 4), -5), np.random.default_rng(0).normal(size=2 * CHUNK + 5).astype(np.float32)):
        statistics = statistics_of(values)
        np.testing.assert_allclose(statistics.norm, np.linalg.norm(values.astype(np.float64)), rtol=1e-12)
        np.testing.assert_allclose(statistics.mean, values.mean(dtype=np.float64), rtol=1e-12)
    assert statistics_of(np.zeros((0, 3), np.float32)).to_json() == {"norm": 0.0, "mean": 0.0}
    assert statistics_of(np.array([1, np.nan])).to_json() == {"norm": None, "mean": None}


HELD = {
    "a.weight": numbered((2, 2, 3, 3), 1),
    "a.bias": numbered((2,), 5),
    "<b>.bias": numbered((3,)),
    "d.bias": numbered((2,)),
}
WANTED = {
    "a.weight": np.zeros((2, 2, 5, 5), np.float32),
    "a.bias": np.zeros(2, np.float32),
    "<b>.bias": np.ones(4, np.float32),
    "c&.bias": np.ones(2, np.float32),
    "e.bias": np.ones(1, np.float32),
}


@pytest.fixture
def report(tmp_path):
    source, target = save_small_model(tmp_path / "s.onnx", HELD), save_small_model(tmp_path / "t.onnx", WANTED)
    rules = TransplantRules.parse(adapt=["center"], exclude=["e"])
    return onnxgrid.transplant(source, target, tmp_path / "out.onnx", rules, statistics=True)


def test_the_json_has_the_statistics_and_adaptations(report):
    written = json.loads(json.dumps(report.to_json()))
    (adapted,) = written["adapted"]
    assert adapted["adaptation"] == [{"rule": "center", "detail": "kernel (3, 3) -> (5, 5)"}]
    norm = float(np.linalg.norm(HELD["a.weight"].astype(np.float64)))
    assert adapted["before"] == {"norm": 0.0, "mean": 0.0}
    assert adapted["after"] == {"norm": pytest.approx(norm), "mean": pytest.approx(HELD["a.weight"].sum() / 100)}
    (mismatched,) = written["shape_mismatch"]
    assert mismatched["before"] == mismatched["after"] == {"norm": 2.0, "mean": 1.0}
    assert [entry["name"] for entry in written["excluded"]] == ["e.bias"]


class Page(html.parser.HTMLParser):
    """Rows as lists of cells, and whatever could load or run something."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.colours, self._in_cell = [], set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        attributes = dict(attributes)
        assert not {"src", "href", "onclick"} & attributes.keys()
        if tag == "tr":
            self.rows.append([])
            self.colours.append(attributes.get("style", ""))
        self._in_cell = tag in ("td", "th")
        if self._in_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


def test_the_page_shows_every_layer_in_its_colour_and_escapes_names(report):
    page = Page(html_page(report))
    assert not page.tags & {"script", "link", "img", "iframe", "b"}
    rows = {row[0]: row[1:] for row in page.rows if len(row) > 1}
    colours = {row[0]: colour for row, colour in zip(page.rows, page.colours, strict=True) if row}
    assert rows["a"] == ["in part"]
    assert rows["<b>"] == ["shape mismatch"]
    assert rows["c&"] == ["not found"]
    assert rows["e"] == ["excluded"]
    assert rows["a.weight"][:5] == [
        "adapted",
        "(2, 2, 5, 5)",
        "a.weight",
        "(2, 2, 3, 3)",
        "center: kernel (3, 3) -> (5, 5)",
    ]
    assert rows["a.bias"][:2] == ["copied", "(2,)"]
    assert rows["a.bias"][5:] == ["0", f"{np.hypot(5, 6):.6g}", "0", "5.5"]
    assert rows["d.bias"] == ["d.bias", "(2,)"]  # of the source, and not used
    assert len({colours[name] for name in ("a", "<b>", "c&", "e", "a.weight", "a.bias")}) == 6


def test_without_statistics_the_page_has_no_such_columns(tmp_path):
    path = save_small_model(tmp_path / "s.onnx", HELD)
    page = Page(html_page(onnxgrid.transplant(path, path, dry_run=True)))
    assert ["Parameter", "Outcome", "Shape", "Source", "Shape in source", "Remark"] in page.rows
    assert page.rows[0] == ["", "File"]
