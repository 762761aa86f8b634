"""`onnxgrid inspect` as the user sees it."""

import json

from click.testing import CliRunner

from onnxgrid.cli.inspect import command
from tests.small_models import numbered, save_small_model

ARRAYS = {"conv.weight": numbered((3, 2, 3, 5)), "conv.bias": numbered((3,)), "head.bias": numbered((3,))}


def test_the_table_shows_layers_tensors_and_counts(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS, frozen=("head",))
    result = CliRunner().invoke(command, [str(path)])
    assert result.exit_code == 0
    title, _, headings, _, *rows = (line.strip() for line in result.stdout.splitlines())
    assert title == f"{path}: net (opset 17, IR version 9)"
    assert headings.split() == ["Layer", "Class", "Output", "shape", "Tensor", "Shape", "Type", "Kind", "Parameters"]
    assert [" ".join(row.split()) for row in rows] == [
        "conv Conv (N, 3, 5, 4) conv.weight (3, 2, 3, 5) float32 parameter 93",
        "conv.bias (3,) float32 parameter",
        "head Add (N, 3, 5, 4) head.bias (3,) float32 parameter 3 (frozen)",
        "flat Flatten (N, 3, 5, 4)",
        "",
        "Input : x float32 (N, 2, 5, 4)",
        "Output : flat float32 (N, 3, 5, 4)",
        "Total parameters : 96",
        "Trainable parameters: 93",
        "Statistics : 0",
        "Num of operations : 4",
        "Bytes : 400",
    ]


def test_json_is_the_summary(tmp_path):
    path = save_small_model(tmp_path / "a.onnx", ARRAYS)
    result = CliRunner().invoke(command, [str(path), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["totals"]["parameters"] == 96


def test_the_help_has_an_example():
    assert "Example:\n      onnxgrid inspect unet.onnx\n" in CliRunner().invoke(command, ["--help"]).stdout
