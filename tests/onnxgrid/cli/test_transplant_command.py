"""`onnxgrid transplant` as the user sees it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from onnxgrid.cli.main import cli
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


def test_rules_are_passed_on_and_the_table_and_the_page_show_them(tmp_path):
    source = save_small_model(tmp_path / "s.onnx", {"old.weight": numbered((2, 2, 3, 3)), "b.bias": numbered((2,))})
    target = save_small_model(tmp_path / "t.onnx", {"new.weight": numbered((2, 2, 5, 5)), "b.bias": numbered((2,), 5)})
    out, page = tmp_path / "out.onnx", tmp_path / "r.html"
    options = ("--map", "^old=>new", "--adapt", "center", "--exclude", "b", "--strict", "--table", "--html", page)
    result = run(source, target, "-o", out, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    table, summary = result.stdout.splitlines()[:-1], result.stdout.splitlines()[-1]
    rows = [line.split() for line in table if line.strip()]
    assert rows[0] == ["Layer", "Parameter", "Outcome", "Shape", "Source", "Shape", "in", "source", "Remark"]
    assert rows[2][:3] == ["new", "new.weight", "adapted"]
    assert " ".join(rows[2]).endswith("center: kernel (3, 3) -> (5, 5)")
    assert rows[3][:3] == ["b", "b.bias", "excluded"]
    assert summary == (
        f"{out}: 0 copied, 1 adapted, 0 unmatched in source, 0 unmatched in target, 0 shape mismatch, 1 excluded"
    )
    assert "new.weight" in page.read_text()


def test_nothing_carried_writes_nothing_and_ends_with_1(files):
    source, target, out = files
    result = run(source, target, "-o", out, "--exclude", "conv")
    assert result.exit_code == 1
    assert result.stdout.endswith(
        "nothing to carry, nothing written: 0 copied, 0 adapted, 1 unmatched in source, 1 unmatched in target, "
        "0 shape mismatch, 1 excluded\n"
    )
    assert sorted(path.name for path in out.parent.iterdir()) == ["s.onnx", "t.onnx"]
    assert run(source, target, "--dry-run", "--exclude", "conv").exit_code == 0


def test_a_map_that_matches_nothing_is_written_and_ends_with_1(files):
    source, target, out = files
    result = run(source, target, "-o", out, "--map", "^enc=>dec")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith(f"{out}: 1 copied")


def test_uncertain_pairs_are_carried_only_when_accepted(tmp_path):
    source = save_small_model(
        tmp_path / "s.onnx", {"a.weight": numbered((2, 2, 3, 3), 1), "b.weight": numbered((2, 2, 3, 3))}
    )
    target = save_small_model(tmp_path / "t.onnx", {f"{name}.weight": numbered((2, 2, 3, 3)) for name in "pqrst"})
    result = run(source, target, "-o", tmp_path / "out.onnx", "--match", "structure")
    assert result.exit_code == 1  # nothing was carried
    assert (
        "   Skipping parameter p.weight (a.weight): paired by structure at confidence 0.30, below 0.90" in result.stdout
    )
    result = run(source, target, "-o", tmp_path / "out.onnx", "--match", "structure", "--accept-uncertain")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "   Paired layer p with a: confidence 0.30"
    np.testing.assert_array_equal(initializers_of(tmp_path / "out.onnx")["p.weight"], numbered((2, 2, 3, 3), 1))


def test_in_place_and_dtype(tmp_path):
    weights = tmp_path / "w.npz"
    np.savez(weights, **{"a.bias": numbered((3,), 1)})
    assert isinstance(run(weights, weights, "-o", weights).exception, TransplantError)
    assert run(weights, weights, "-o", weights, "--in-place", "--dtype", "float16").exit_code == 0
    assert np.load(weights)["a.bias"].dtype == np.float16
    assert run(weights, weights, "-o", weights, "--in-place", "--dtype", "float33").exit_code == 2


@pytest.mark.parametrize(("option", "path"), [("--report", "r.txt"), ("--html", "r.json"), ("--report", "-")])
def test_reports_have_their_endings(files, option, path):
    result = run(*files[:2], "--dry-run", option, path)
    assert result.exit_code == 2
    ending = ".json" if option == "--report" else ".html"
    assert f"Invalid value for '{option}': '{path}' does not end in {ending}." in result.stderr


def test_reports_take_the_place_of_nothing(files, tmp_path):
    index = tmp_path / "w.safetensors.index.json"
    for arguments in (
        (index, files[1], "--dry-run", "--report", index),
        (*files[:2], "--dry-run", "--report", tmp_path / "r.json", "--freeze-out", tmp_path / "r.json"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.endswith(f"Error: '{arguments[4]}' is given for two files.\n")
    result = run(*files[:2], "-o", files[2], "--report", tmp_path / "no" / "r.json")
    assert result.exit_code == 2
    assert not files[2].exists()


def test_no_adaptation_is_said_alone(files):
    assert run(*files[:2], "--dry-run", "--adapt", "none").exit_code == 0
    result = run(*files[:2], "--dry-run", "--adapt", "none", "--adapt", "center")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: --adapt none cannot be combined with other rules.\n")


@pytest.mark.parametrize("ends", [("-", "t.onnx"), ("s.onnx", "-")])
def test_a_dash_is_no_file(files, ends, monkeypatch):
    monkeypatch.chdir(files[0].parent)
    result = run(*ends, "-o", "out.onnx")
    assert str(result.exception).startswith("-: the suffix '' is not one of a weight file\n  Use one of: .h5, ")


def test_the_help_has_an_example():
    assert "Example:\n      onnxgrid transplant coarse.onnx fine.onnx -o start.onnx" in run("--help").stdout


@pytest.mark.parametrize(
    "words",
    [("transplant", "a.npz", "a.npz", "--dry-run", "--table"), ("inspect", "a.npz"), ("diff", "a.npz", "b.npz")],
)
def test_names_that_steer_a_terminal_are_spelt_out_in_tables(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("ab"):
        np.savez(f"{name}.npz", **{"la\x1b[31myer\n.weight": np.full(3, number, np.float32)})
    result = CliRunner().invoke(cli, list(words))
    assert "\x1b" not in result.stdout
    assert r"la\x1b[31myer\n.weight" in result.stdout


def test_names_that_would_steer_a_terminal_are_spelt_out(tmp_path):
    steering = "a\x1b[31m\nb"
    source = save_small_model(tmp_path / "s.onnx", {"conv.bias": numbered((3,), 1), f"{steering}.bias": numbered((5,))})
    target = save_small_model(tmp_path / "t.onnx", {"conv.bias": numbered((3,)), f"c{steering}.bias": numbered((5,))})
    result = run(source, target, "-o", tmp_path / "out.onnx")
    assert result.stdout.splitlines()[:3] == [
        "   Skipping layer ca\\x1b[31m\\nb: not found in model",
        "   Skipping parameter ca\\x1b[31m\\nb.bias: not found in model",
        "   Unused layer a\\x1b[31m\\nb: not found in network",
    ]


def test_names_in_warnings_and_errors_are_spelt_out(tmp_path):
    source = save_small_model(tmp_path / "s.onnx", {"conv.bias": numbered((3,), 1)})
    given = [str(source), str(source), "-o", str(tmp_path / "out.onnx")]
    result = CliRunner().invoke(cli, ["transplant", *given, "--map", "\x1b=>b"])
    assert result.stderr == f"warning: {source}: no name matches the rename '\\x1b=>b'\n"
    result = CliRunner().invoke(cli, ["transplant", *given, "--only", "\x1b"])
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: only '\\x1b': matches no layer and no parameter\n"
        "  Give a layer or a parameter of the target, as 'conv_1', 'enc_*' or '*.bias'.\n",
    )
