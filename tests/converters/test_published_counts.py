"""Parameters and operations of published networks are those that were published."""

import json
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

import converters
from onnxgrid.cli.main import cli
from onnxgrid.inspection import summarize_model
from tests.converters.keras_oracle import assert_equals_keras, assert_every_size_is_known
from tests.converters.published_networks import PUBLISHED, Published, xception_unet, yolo_v3


def network_json(build: Published, path: Path) -> Path:
    """The network's JSON; no weight is allocated for it."""
    with keras.device("meta"):
        path.write_text(build[0]().to_json())
    return path


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_a_network_has_as_many_parameters_as_was_published(published: Published, tmp_path: Path) -> None:
    _build, total, trainable, operations = published
    model = converters.convert(network_json(published, tmp_path / "net.json"))
    assert_every_size_is_known(model)
    summary = summarize_model(model, "net")
    assert (summary.total_parameters, summary.trainable_parameters) == (total, trainable)
    assert operations in (None, summary.operations)


def test_inspect_prints_the_published_counts(tmp_path: Path) -> None:
    network = network_json(PUBLISHED["a U-Net of Xception's layers"], tmp_path / "net.json")
    converted = CliRunner().invoke(cli, ["convert", str(network), "--json"])
    assert converted.exit_code == 0
    assert json.loads(converted.stdout)["parameters"] == 2055203
    result = CliRunner().invoke(cli, ["inspect", str(network.with_suffix(".onnx"))])
    assert result.exit_code == 0
    counts = [" ".join(line.split()) for line in result.stdout.splitlines() if ":" in line]
    assert "Total parameters : 2055203" in counts
    assert "Trainable parameters: 2055203" in counts
    assert "Num of operations : 73" in counts


def test_yolo_gives_a_row_for_each_cell_of_each_scale(tmp_path: Path) -> None:
    model = converters.convert(network_json(PUBLISHED["YOLOv3"], tmp_path / "net.json"))
    (output,) = model.graph.outputs
    assert str(output.shape) == "[N,3549,255]"
    assert 3549 == 13**2 + 26**2 + 52**2


def test_a_narrow_yolo_equals_keras(tmp_path: Path) -> None:
    assert_equals_keras(yolo_v3(64, width=2, classes=4), tmp_path, raw_outputs=True)


def test_a_small_xception_unet_equals_keras(tmp_path: Path) -> None:
    assert_equals_keras(xception_unet(32), tmp_path)
