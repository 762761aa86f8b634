"""`onnxgrid artifacts` as a user types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import converters
from onnxgrid.cli.main import cli
from onnxgrid.zoo import convnet2d

FILES = ["training_model.onnx", "eval_model.onnx", "optimizer_model.onnx", "checkpoint"]


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ONNX file of a small classifier, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("net.json").write_text(json.dumps(convnet2d((8, 8, 1), 3, channels=(4,), batch_normalization=False)))
    converters.save_model(converters.convert(Path("net.json")), Path("net.onnx"))
    return Path("net.onnx")


def test_the_files_are_written_and_named(network: Path) -> None:
    result = CliRunner().invoke(cli, ["artifacts", "net.onnx", "-o", "out/dir", "--loss", "nll", "--optimizer", "sgd"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "out/dir: training_model.onnx, eval_model.onnx, optimizer_model.onnx, checkpoint\n"
        "   4 initializers are trained, 0 are constants\n"
    )
    assert sorted(path.name for path in Path("out/dir").iterdir()) == sorted(FILES)


def test_the_result_as_json(network: Path) -> None:
    result = CliRunner().invoke(cli, ["artifacts", "net.onnx", "-o", "out", "--json"])
    assert json.loads(result.stdout) == {
        "files": [f"out/{name}" for name in FILES],
        "parameters": ["conv_1.weight", "conv_1.bias", "classes.weight", "classes.bias"],
        "frozen": 0,
    }


def test_a_network_that_onnx_runtime_cannot_train_is_bad_input(network: Path) -> None:
    Path("net.json").write_text(json.dumps(convnet2d((8, 8, 1), 3, channels=(4,))))
    converters.save_model(converters.convert(Path("net.json")), network)
    result = CliRunner().invoke(cli, ["artifacts", "net.onnx", "-o", "out"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: net.onnx: ONNX Runtime alone cannot train this network\n"
        "  layer 'norm_1', op ai.onnx::BatchNormalization: its running statistics would not be updated; "
        'freeze it ("trainable": false)\n'
        "  Train it with onnxgrid train, which brings torch's gradients, or replace these layers.\n"
    )
