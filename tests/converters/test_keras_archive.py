"""A `.keras` archive as a network, also one that was not made in good faith."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers as kl

import converters
from converters.errors import UserError

CONFIG = json.dumps(
    [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4]}},
        {"class_name": "ReLU", "config": {"name": "a"}},
    ]
)


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    def write(name: str = "config.json", text: str | bytes = CONFIG) -> Path:
        path = tmp_path / "net.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, text)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        converters.convert(path)
    return str(error.value)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch, while Keras saves
def test_an_archive_of_keras_converts_as_its_json_does(tmp_path: Path) -> None:
    inputs = keras.Input((8, 11, 3), name="x")
    model = keras.Model(inputs, kl.Conv2D(4, 3, name="conv")(inputs))
    model.save(tmp_path / "net.keras")
    (tmp_path / "net.json").write_text(model.to_json())
    archived, plain = (converters.convert(tmp_path / name).graph for name in ("net.keras", "net.json"))
    assert [node.name for node in archived] == [node.name for node in plain]
    assert list(archived.initializers) == list(plain.initializers) == ["conv.weight", "conv.bias"]


ON_SAVE = "Give an archive that Keras 3 wrote with model.save()."
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no config": ({"name": "other.json"}, f": holds no config.json\n  {ON_SAVE}"),
    "a config that is not JSON": (
        {"text": "[3"},
        "/config.json:1:3: the file ends in the middle of a value\n    [3\n      ^\n"
        "  Close what is open, or give the whole file.",
    ),
    "a config that is no text": (
        {"text": b"\xff"},
        f"/config.json: is not UTF-8 text (byte 0 is 0xff)\n  {ON_SAVE}",
    ),
    "a config that is no network": (
        {"text": "3"},
        "/config.json: holds no network\n"
        '  Give a Keras model as JSON (model.to_json()), a list of layers, or an object with "layers".',
    ),
    "a name that leads out": (
        {"name": "../config.json"},
        ", member '../config.json': has a name that leads out of the archive's folder\n"
        "  Write the archive anew, without compression.",
    ),
}


@pytest.mark.parametrize(("written", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_refused(written: dict[str, Any], message: str, archive: Any) -> None:
    path = archive(**written)
    assert refusal(path) == f"{path}{message}"


def test_a_config_that_swells_is_refused_before_it_does(archive: Any) -> None:
    path = archive(text=b" " * (2**26 + 1))
    assert "would take 67108865 bytes" in refusal(path)
    path = archive(text=bytes(range(65, 91)) * (2**26 // 26 + 1))
    assert path.stat().st_size < 2**20
    assert str(path) in refusal(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    path.write_text(CONFIG)
    assert refusal(path) == f"{path}: is not a zip archive, or only a part of one\n  Give a whole file."
