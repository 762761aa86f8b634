"""The zoo's networks are what Keras reads, keep their weights across resolutions, and are what `models/` holds."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onnxgrid.zoo import convnet2d, dense_classifier2d, unet2d
from onnxgrid.zoo.keras_network import KerasNetwork

MODELS = Path(__file__).parents[2] / "models"
GENERATOR = runpy.run_path(str(MODELS / "generate.py"))
GENERATED: dict[str, Any] = GENERATOR["models"]()

BUILD_WITH_KERAS = """
import json, sys
import keras

def shapes(network):
    model = keras.models.model_from_json(json.dumps(network), custom_objects={"Functional": keras.Model})
    layers = {layer.name: [list(weight.shape) for weight in layer.weights] for layer in model.layers}
    return {"weights": {name: of_layer for name, of_layer in layers.items() if of_layer},
            "output": list(model.output_shape), "trainable": [weight.path for weight in model.trainable_weights]}

json.dump([shapes(network) for network in json.load(sys.stdin)], sys.stdout)
"""

NETWORKS = {
    "convnet 16": convnet2d((16, 16, 1)),
    "convnet 32": convnet2d((32, 32, 1)),
    "convnet without normalization": convnet2d((16, 20, 3), 4, channels=(4, 6), batch_normalization=False),
    "dense 16": dense_classifier2d((16, 16, 1), dense_name="dense_16"),
    "dense 32": dense_classifier2d((32, 32, 1), dense_name="dense_32"),
    "dense frozen": dense_classifier2d((32, 32, 1), dense_name="dense_32", trainable_body=False),
    "unet 1": unet2d((8, 12, 3), 1),
    "unet 2": unet2d((16, 24, 3), 2),
    "unet 3": unet2d((32, 48, 3), 3),
    "unet 4": unet2d((64, 96, 3), 4),
}


def in_keras(program: str, networks: list[dict[str, Any]]) -> str:
    """What a program prints that gets networks on stdin; in its own process, for Keras takes its backend from there."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(networks),
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built() -> dict[str, dict[str, Any]]:
    """What Keras makes of each network."""
    return dict(zip(NETWORKS, json.loads(in_keras(BUILD_WITH_KERAS, list(NETWORKS.values()))), strict=True))


def changed(coarse: dict[str, Any], fine: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The layers that only one of two networks has with these weight shapes: (lost, new)."""
    before, after = coarse["weights"], fine["weights"]
    return (
        {name for name in before if after.get(name) != before[name]},
        {name for name in after if before.get(name) != after[name]},
    )


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("convnet 16", [None, 10]),
        ("convnet without normalization", [None, 4]),
        ("dense 32", [None, 10]),
        ("unet 1", [None, 8, 12, 3]),
        ("unet 4", [None, 64, 96, 3]),
    ],
)
def test_keras_reads_the_network_and_gives_the_documented_output_shape(
    built: dict[str, Any], name: str, output: list[int]
) -> None:
    assert built[name]["output"] == output


def test_every_weight_of_the_convnet_fits_another_resolution(built: dict[str, Any]) -> None:
    assert changed(built["convnet 16"], built["convnet 32"]) == (set(), set())


def test_only_the_input_shape_of_the_convnet_differs_between_resolutions() -> None:
    assert json.dumps(convnet2d((16, 16, 1))).replace("16, 16, 1", "32, 32, 1") == json.dumps(convnet2d((32, 32, 1)))


def test_only_the_dense_of_the_dense_classifier_is_new_at_another_resolution(built: dict[str, Any]) -> None:
    assert changed(built["dense 16"], built["dense 32"]) == ({"dense_16"}, {"dense_32"})


def test_a_frozen_body_leaves_the_dense_to_be_trained(built: dict[str, Any]) -> None:
    assert built["dense frozen"]["trainable"] == ["dense_32/kernel", "dense_32/bias"]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_unet_grown_by_a_level_keeps_every_weight(built: dict[str, Any], depth: int) -> None:
    lost, new = changed(built[f"unet {depth}"], built[f"unet {depth + 1}"])
    assert lost == set()
    kinds = ["stem", "encode", "shrink", "down", "up", "decode", "head"]
    assert {name.split("_")[0] for name in new} == set(kinds)
    assert {name.split("_")[1] for name in new} == {str(depth)}


def test_a_grown_unet_starts_as_the_trained_one_on_the_shrunk_image_with_its_correction_enlarged() -> None:
    """In Keras, with random weights in all layers that the small network has."""
    program = """
import json, sys
import keras, numpy as np

small, grown = (
    keras.models.model_from_json(json.dumps(network), custom_objects={"Functional": keras.Model})
    for network in json.load(sys.stdin)
)
random = np.random.default_rng(0)
for layer in small.layers:
    layer.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in layer.weights])
    grown.get_layer(layer.name).set_weights(layer.get_weights())
image = random.uniform(size=(2, 16, 24, 1)).astype("float32")
shrunk = image.reshape(2, 8, 2, 12, 2, 1).mean((2, 4))
correction = small.predict(shrunk, verbose=0) - shrunk
assert np.abs(correction).min() > 0.1
expected = image + correction.repeat(2, axis=1).repeat(2, axis=2)
np.testing.assert_allclose(grown.predict(image, verbose=0), expected, rtol=1e-4)
"""
    in_keras(program, [unet2d((8, 12, 1), 2), unet2d((16, 24, 1), 3)])


@pytest.mark.parametrize(
    ("shape", "depth", "message"),
    [
        ((16, 18, 1), 3, "an image of 16 x 18 cannot be halved 2 times, as a depth of 3 asks"),
        ((16, 16, 1), 0, "a U-Net of depth 0 has no level"),
    ],
)
def test_a_unet_that_does_not_fit_its_image_is_refused(shape: tuple[int, int, int], depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        unet2d(shape, depth)


def test_two_layers_of_one_name_are_refused() -> None:
    network = KerasNetwork("net", (8, 8, 1))
    network.relu(network.input, "same")
    with pytest.raises(ValueError, match=r"^network 'net' already has a layer 'same'$"):
        network.relu("same", "same")


def test_the_models_folder_holds_what_its_generator_writes() -> None:
    held = {path.name: path.read_text(encoding="utf-8") for path in MODELS.glob("*.json")}
    assert held == {name: GENERATOR["as_text"](content) for name, content in GENERATED.items()}


@pytest.mark.parametrize("name", GENERATED)
def test_a_model_file_is_readable_json_of_short_lines(name: str) -> None:
    text = (MODELS / name).read_text(encoding="utf-8")
    assert json.loads(text) == GENERATED[name]
    assert max(len(line) for line in text.splitlines()) <= GENERATOR["LINE_WIDTH"]


@pytest.mark.parametrize("name", [name for name in GENERATED if name.startswith("run_")])
def test_a_run_names_a_network_of_the_folder_and_loads_the_last_checkpoint_of_another_run(name: str) -> None:
    run = GENERATED[name]["neural_network"]
    assert Path(run["layers"]).name in GENERATED
    if "load" in run["checkpoints"]:
        saved = {
            f"{other['checkpoints']['save']}model_checkpoint_{other['num_epochs']}.pt"
            for other in (GENERATED[file]["neural_network"] for file in GENERATED if file.startswith("run_"))
        }
        assert run["checkpoints"]["load"] in saved
