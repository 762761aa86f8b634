"""A network of every family of keras.applications, with random weights, against Keras."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import applications
from keras.src import backend
from keras.src.applications import nasnet

import converters
from onnxgrid.inspection import summarize_model
from tests.converters.keras_oracle import put_weights, run_onnx

RELATIVE_TOLERANCE = 1e-4
"""Of the largest output: rounding adds up over some hundred layers."""

Build = Callable[..., keras.Model]

FAMILIES: dict[str, tuple[Build, int]] = {
    "ConvNeXt": (applications.ConvNeXtTiny, 32),
    "DenseNet": (applications.DenseNet121, 32),
    "EfficientNet": (applications.EfficientNetB0, 33),
    "EfficientNetV2": (applications.EfficientNetV2B0, 33),
    "EfficientNetV2 S to L": (applications.EfficientNetV2S, 32),
    "InceptionResNetV2": (applications.InceptionResNetV2, 75),
    "InceptionV3": (applications.InceptionV3, 75),
    "MobileNet": (applications.MobileNet, 33),
    "MobileNetV2": (applications.MobileNetV2, 33),
    "MobileNetV3": (applications.MobileNetV3Small, 33),
    "NASNet": (applications.NASNetMobile, 35),
    "ResNet": (applications.ResNet50, 33),
    "ResNetV2": (applications.ResNet50V2, 33),
    "VGG": (applications.VGG16, 32),
    "Xception": (applications.Xception, 71),
}
"""Family -> its smallest network and a size of image that it takes; odd where it takes those."""


@pytest.fixture(autouse=True)
def _nasnet_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras refuses to build NASNet on torch; the comparison needs its predictions only."""
    monkeypatch.setattr(nasnet, "backend", SimpleNamespace(**{**vars(backend), "backend": lambda: "tensorflow"}))


def vary(model: keras.Model) -> None:
    """Give what Keras starts at 0, 1 or a tiny number values that show in the output, and that do not explode in it."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if len(variable.shape) == 1:
            centre = 0.0 if variable.name in ("beta", "bias", "moving_mean", "mean") else 1.0
            variable.assign((centre + 0.2 * (random.random(variable.shape) - 0.5)).astype(np.float32))


@pytest.mark.parametrize(("build", "size"), FAMILIES.values(), ids=FAMILIES)
def test_a_network_of_each_family_equals_keras(build: Build, size: int, tmp_path: Path) -> None:
    model = build(weights=None, input_shape=(size, size, 3), classes=7, classifier_activation=None)
    vary(model)
    path = tmp_path / "net.json"
    path.write_text(model.to_json())
    converted = converters.convert(path)
    put_weights(converted, model)
    image = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    (output,) = run_onnx(converted, image)
    want = np.asarray(model(image, training=False).detach())
    assert np.isfinite(want).all()
    np.testing.assert_allclose(output, want, rtol=0, atol=RELATIVE_TOLERANCE * np.abs(want).max())
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert summarize_model(converted, "net").total_parameters == trained


SIZES = ("Tiny", "Small", "Base", "XLarge", "Large", "Mobile", "S", "M", "L")


def family(network: str) -> str:
    """A network's name without its size."""
    stem = re.sub(r"(?<!V)B?[0-9]+", "", network)
    return next((stem.removesuffix(size) for size in SIZES if stem.endswith(size)), stem)


def test_every_family_is_here() -> None:
    networks = {name for name in dir(applications) if name[0].isupper()}
    assert {family(name) for name in networks} == {family(build.__name__) for build, _size in FAMILIES.values()}
