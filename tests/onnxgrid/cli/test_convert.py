"""`onnxgrid convert`: where the model goes and what is said about it; what is in it is tested with the converters."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from click.testing import CliRunner, Result

import converters
from onnxgrid.cli.main import cli
from onnxgrid.zoo.keras_network import KerasNetwork


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a small network with `PARAMETERS` parameters, in the folder `nets` of the working directory."""
    net = KerasNetwork("small", (8, 8, 3))
    x = net.relu(net.conv2d(net.input, "conv", 2, 3), "relu")
    text = json.dumps(net.to_json(net.dense(net.global_average_pooling2d(x, "average"), "dense", 5)))
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    Path("nets/small.json").write_text(text)
    return Path("nets/small.json")


def convert(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, ["convert", *map(str, arguments)])


def input_shape(path: Path) -> list[int]:
    (value,) = onnx.load(path).graph.input
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]


MODELS = Path(__file__).parents[3] / "models"

PARAMETERS = 2 * 3 * 3 * 3 + 2 + 5 * 2 + 5


def test_the_model_lands_beside_the_network_and_one_line_says_what_it_holds(network: Path) -> None:
    result = convert(network)
    model = onnx.load("nets/small.onnx")
    nodes, initializers = len(model.graph.node), len(model.graph.initializer)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"nets/small.onnx: {nodes} nodes, {initializers} initializers, {PARAMETERS} parameters\n"


def test_json_prints_the_same_facts(network: Path) -> None:
    summary = json.loads(convert(network, "-o", "net.onnx", "--json").stdout)
    graph = onnx.load("net.onnx").graph
    assert summary == {
        "output": "net.onnx",
        "nodes": len(graph.node),
        "initializers": len(graph.initializer),
        "parameters": PARAMETERS,
    }


def test_the_input_shape_can_be_replaced(network: Path) -> None:
    assert convert(network, "--input-shape", "3,16,24").exit_code == 0
    assert input_shape(Path("nets/small.onnx")) == [3, 16, 24]


def test_the_seed_decides_the_bytes(network: Path) -> None:
    for seed, name in [("1", "a.onnx"), ("1", "b.onnx"), ("2", "c.onnx")]:
        convert(network, "--seed", seed, "-o", name)
    a, b, c = (Path(name).read_bytes() for name in ("a.onnx", "b.onnx", "c.onnx"))
    assert a == b != c


def test_standard_input_and_output_carry_network_and_model(network: Path) -> None:
    with network.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "onnxgrid", "convert", "-", "-o", "-"], stdin=stdin, capture_output=True, check=True
        )
    convert(network)
    assert done.stdout == Path("nets/small.onnx").read_bytes()
    assert done.stderr.startswith(b"-: ")


def weights_of(model: Path, **changes: np.ndarray | None) -> Path:
    """An archive of the model's weights, with those named replaced, or left out if they are None."""
    arrays = {t.name: onnx.numpy_helper.to_array(t) + 1 for t in onnx.load(model).graph.initializer if "." in t.name}
    np.savez("w.npz", **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return Path("w.npz")


def test_weights_take_the_place_of_the_initial_ones(network: Path) -> None:
    convert(network, "-o", "first.onnx")
    result = convert(network, "--weights", weights_of(Path("first.onnx")), "--strict", "-o", "net.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("net.onnx: ")
    first, filled = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
        for path in ("first.onnx", "net.onnx")
    )
    assert first.keys() == filled.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(filled[name], array + 1 if "." in name else array)


DIFFERENCES = (
    "   Skipping parameter conv.weight: shape (1, 3, 3, 3) in model, (2, 3, 3, 3) in network\n"
    "   Skipping parameter dense.bias: not found in model\n"
    "   Unused layer extra: not found in network\n"
)
CHANGES = {
    "conv.weight": np.zeros((1, 3, 3, 3), np.float32),
    "dense.bias": None,
    "extra.weight": np.zeros(1, np.float32),
}


def test_weights_that_do_not_fit_are_told_in_the_words_of_a_transplant(network: Path) -> None:
    convert(network, "-o", "first.onnx")
    weights = weights_of(Path("first.onnx"), **CHANGES)
    result = convert(network, "--weights", weights, "-o", "net.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(DIFFERENCES + "net.onnx: ")
    report = json.loads(convert(network, "--weights", weights, "-o", "net.onnx", "--json").stdout)["weights"]
    assert report["counts"] == {
        "copied": 2,
        "adapted": 0,
        "unmatched_in_source": 1,
        "unmatched_in_target": 1,
        "shape_mismatch": 1,
    }


def test_strict_refuses_weights_that_do_not_fit(network: Path) -> None:
    convert(network, "-o", "first.onnx")
    weights = weights_of(Path("first.onnx"), **CHANGES)
    result = convert(network, "--weights", weights, "--strict", "-o", "net.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: w.npz into nets/small.json: the transplant is strict, and this does not match:\n"
        + DIFFERENCES
        + "  Rename what has another name, or allow differences.\n"
    )
    assert not Path("net.onnx").exists()


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (Path(__file__).parents[3] / "models").glob("digits_*.json"))
)
def test_every_network_of_the_models_folder_converts(tmp_path: Path, name: str) -> None:
    assert convert(Path(__file__).parents[3] / "models" / name, "-o", tmp_path / "net.onnx").exit_code == 0
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)


USAGE_ERRORS = {
    "standard input without an output": (
        ["-"],
        "A network from the standard input needs -o, the file to write the model to.",
    ),
    "the network as output": (
        ["nets/small.json", "-o", "nets/small.json"],
        "nets/small.json is the network itself: give another file with -o.",
    ),
    "a shape with a word": (
        ["nets/small.json", "--input-shape", "3,x,8"],
        "Invalid value for '--input-shape': '3,x,8' is not a list of positive sizes such as 1,128,128.",
    ),
    "a shape with a zero": (
        ["nets/small.json", "--input-shape", "0,8,8"],
        "Invalid value for '--input-shape': '0,8,8' is not a list of positive sizes such as 1,128,128.",
    ),
    "an absent network": (["absent.json"], "Invalid value for 'NETWORK': File 'absent.json' does not exist."),
    "a network as output": (
        ["nets/small.json", "-o", "nets/other.json"],
        "nets/other.json does not end in .onnx: what comes of a network is a model.",
    ),
    "an output of no known kind": (
        ["nets/small.json", "-o", "other.txt"],
        "other.txt does not end in .onnx: what comes of a network is a model.",
    ),
    "strict without weights": (
        ["nets/small.json", "--strict"],
        "--strict says that the weights must be those of the network: give them with --weights.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_wrong_usage_writes_nothing(network: Path, arguments: list[str], message: str) -> None:
    before = network.read_bytes()
    result = convert(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
    assert network.read_bytes() == before
    assert not [*Path().rglob("*.onnx")]


def test_a_network_that_is_not_json_is_shown_at_its_line(network: Path) -> None:
    network.write_text('{"class_name": "Functional"\n "config": {}}')
    result = convert(network)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        'Error: nets/small.json:2:2: expected "," or a closing bracket\n'
        '     "config": {}}\n'
        "     ^\n"
        "  If a comma is missing, it belongs at line 1, column 28.\n"
    )
    assert not Path("nets/small.onnx").exists()


def test_options_reach_the_converter(network: Path) -> None:
    result = convert(network, "--opset", "18", "--io-layout", "channels_last", "--fold-batchnorm", "--check", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert summary["check"]["runtime"]
    assert onnx.load(summary["output"]).opset_import[0].version == 18


def test_what_is_checked_is_what_is_written(tmp_path: Path) -> None:
    network, output = MODELS / "digits_conv_16.json", tmp_path / "net.onnx"
    nodes = {}
    for option in ("--check", "--fold-batchnorm"):
        result = convert(network, "-o", str(output), "--check", option, "--seed", "1", "--json")
        assert (result.exit_code, result.stderr) == (0, "")
        assert json.loads(result.stdout)["check"]["difference"] < 1e-5
        nodes[option] = [node.op_type for node in onnx.load(output).graph.node]
    assert "BatchNormalization" in nodes["--check"]
    assert "BatchNormalization" not in nodes["--fold-batchnorm"]


def test_an_opset_that_onnx_does_not_know_is_wrong_usage(network: Path) -> None:
    result = convert(network, "--opset", "99")
    assert result.exit_code == 2
    assert "99 is not from 13 to " in result.stderr
    assert not network.with_suffix(".onnx").exists()


@pytest.fixture
def model(network: Path) -> Path:
    """The model of that network, in another folder."""
    Path("out").mkdir()
    assert convert(network, "-o", "out/small.onnx").exit_code == 0
    return Path("out/small.onnx")


LAYERS = 5


def test_a_model_becomes_the_json_of_its_network(model: Path) -> None:
    result = convert(model)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"out/small.json: {LAYERS} layers, {PARAMETERS} parameters\n"
    assert Path("out/small.json").read_text() == converters.to_keras_json(model)
    assert convert("out/small.json", "-o", "again.onnx").exit_code == 0
    again, first = (onnx.load(path).graph for path in ("again.onnx", model))
    assert again.node == first.node


def test_the_weights_of_a_model_go_out_with_it(model: Path) -> None:
    result = convert(model, "--weights-out", "out/small.weights.h5", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "output": "out/small.json",
        "layers": LAYERS,
        "parameters": PARAMETERS,
        "weights_out": {"path": "out/small.weights.h5", "weights": 4},
    }
    back = keras.models.model_from_json(Path("out/small.json").read_text())
    back.load_weights("out/small.weights.h5")
    assert convert(model, "-o", "a.json", "--weights-out", "a.npz").stdout == (
        f"a.npz: 4 weights\na.json: {LAYERS} layers, {PARAMETERS} parameters\n"
    )


def test_the_weights_of_a_network_go_out_with_its_model(network: Path) -> None:
    result = convert(network, "--weights-out", "first.safetensors")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("first.safetensors: 4 weights\nnets/small.onnx: ")


def test_the_json_goes_to_the_standard_output(model: Path) -> None:
    result = convert(model, "-o", "-", "--weights-out", "w.npz")
    assert result.exit_code == 0
    assert result.stdout == converters.to_keras_json(model)
    assert result.stderr == f"w.npz: 4 weights\n-: {LAYERS} layers, {PARAMETERS} parameters\n"


def test_nothing_is_replaced_without_being_told_so(model: Path) -> None:
    Path("out/small.json").write_text("mine")
    result = convert(model)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: out/small.json is there, and may be the network that the model was made of: name the output with -o."
    )
    assert Path("out/small.json").read_text() == "mine"
    assert convert(model, "-o", "out/small.json").exit_code == 0
    assert json.loads(Path("out/small.json").read_text())["class_name"] == "Functional"


NO_WAY_BACK = {
    "one option": (["--opset", "18"], "--opset says how a network becomes a model, and NETWORK is a model."),
    "options at their defaults": (
        ["--seed", "0", "--io-layout", "channels_first"],
        "--seed, --io-layout say how a network becomes a model, and NETWORK is a model.",
    ),
    "all of them": (
        [
            "--input-shape",
            "3,8,8",
            "--weights",
            "out/small.onnx",
            "--strict",
            "--dynamic-spatial",
            "--fold-batchnorm",
            "--check",
        ],
        "--input-shape, --weights, --strict, --dynamic-spatial, --fold-batchnorm, --check "
        "say how a network becomes a model, and NETWORK is a model.",
    ),
    "a model as output": (
        ["-o", "out/other.onnx"],
        "out/other.onnx does not end in .json: what comes of a model is the JSON of its network.",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), NO_WAY_BACK.values(), ids=NO_WAY_BACK)
def test_what_makes_no_sense_for_a_model_is_wrong_usage(model: Path, arguments: list[str], message: str) -> None:
    result = convert(model, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
    assert [path.name for path in Path("out").iterdir()] == ["small.onnx"]


def test_a_foreign_model_is_refused_in_one_paragraph(model: Path) -> None:
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, "out/foreign.onnx")
    result = convert("out/foreign.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: out/foreign.onnx: was not converted from a network of Keras, so there is none to give back\n"
        "  Give a model that onnxgrid convert wrote from a network.\n"
    )
    assert not Path("out/foreign.json").exists()


def test_a_file_that_is_no_model_is_refused(network: Path) -> None:
    Path("text.onnx").write_text("not a model")
    result = convert("text.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: text.onnx: is not an ONNX model, or only a part of one\n  Give a whole .onnx file.\n"
    )
