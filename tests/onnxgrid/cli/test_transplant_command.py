"""`onnxgrid transplant` as the user sees it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from onnxgrid.cli.transplant import command
from onnxgrid.errors import TransplantError
from tests.small_models import initializers_of, numbered, save_small_model


@pytest.fixture
def files(tmp_path):
    source = save_small_model(tmp_path / "s.onnx", {"conv.bias": numbered((3,), 1), "dense_64.bias": numbered((5,), 4)})
    target = save_small_model(tmp_path / "t.onnx", {"conv.bias": numbered((3,)), "dense_128.bias": numbered((5,))})
    return source, target, tmp_path / "out.onnx"


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_it_writes_the_model_and_prints_the_lines_and_a_summary(files):
    source, target, out = files
    result = run(source, target, "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "   Skipping layer dense_128: not found in model\n"
        "   Skipping parameter dense_128.bias: not found in model\n"
        "   Unused layer dense_64: not found in network\n"
        f"{out}: 1 copied, 0 adapted, 1 unmatched in source, 1 unmatched in target, 0 shape mismatch\n"
    )
    np.testing.assert_array_equal(initializers_of(out)["conv.bias"], numbered((3,), 1))


def test_map_and_report_and_json(files):
    source, target, out = files
    report = out.parent / "report.json"
    result = run(
        source,
        target,
        "-o",
        out,
        "--map",
        "^dense_=>d_",
        "--map",
        "^d_64=>dense_128",
        "--strict",
        "--report",
        report,
        "--json",
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(report.read_text())
    assert json.loads(result.stdout)["counts"]["copied"] == 2


def test_a_dry_run_needs_no_output_and_writes_none(files):
    source, target, out = files
    result = run(source, target, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "dry run, nothing written: 1 copied, 0 adapted, 1 unmatched in source, 1 unmatched in target, 0 shape mismatch"
    )
    assert not out.exists()


def test_strict_writes_neither_model_nor_report(files):
    source, target, out = files
    result = run(source, target, "-o", out, "--strict", "--report", out.parent / "report.json")
    assert isinstance(result.exception, TransplantError)
    assert sorted(path.name for path in out.parent.iterdir()) == ["s.onnx", "t.onnx"]


def test_without_an_output_it_says_which_option_is_missing(files):
    result = run(*files[:2])
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: Missing option '-o' / '--output' (or ask for a --dry-run).\n")


def test_a_report_cannot_take_the_place_of_a_model(files):
    source, target, out = files
    before = target.read_bytes()
    result = run(source, target, "-o", out, "--report", target)
    assert result.exit_code == 2
    assert f"Invalid value for '--report': '{target}' does not end in .json." in result.stderr.replace("\n", "")
    assert target.read_bytes() == before


def test_the_help_has_an_example():
    assert "Example:\n      onnxgrid transplant coarse.onnx fine.onnx -o start.onnx" in run("--help").stdout
