"""Cases of layers that bring images to another size, and of those that change them in training."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl

from tests.converters.layer_cases.case import IMAGE, OPEN, Case, channels_first, class_name, options
from tests.converters.layer_cases.core import unchanged

RESIZINGS: dict[str, dict[str, Any]] = {
    "twice the size": {"height": 16, "width": 22},
    "odd sizes": {"height": 11, "width": 7},
    "smaller": {"height": 3, "width": 4},
    "nearest": {"height": 11, "width": 4, "interpolation": "nearest"},
    "bicubic": {"height": 11, "width": 4, "interpolation": "bicubic"},
    "antialias": {"height": 3, "width": 4, "antialias": True},
    "bicubic antialias": {"height": 5, "width": 9, "interpolation": "bicubic", "antialias": True},
    "nearest antialias": {"height": 3, "width": 4, "interpolation": "nearest", "antialias": True},
    "cropped": {"height": 5, "width": 9, "crop_to_aspect_ratio": True},
    "padded": {"height": 5, "width": 9, "pad_to_aspect_ratio": True, "fill_value": 1.5},
    "the size it has": {"height": 8, "width": 11},
}

CROPS: dict[str, dict[str, Any]] = {
    "even borders": {"height": 4, "width": 7},
    "odd borders": {"height": 5, "width": 6},
    "too small an image": {"height": 12, "width": 9},
    "too small and of another ratio": {"height": 7, "width": 30},
}


def of_keras_2(name: str, **config: Any) -> dict[str, Case]:
    """A class that Keras 3 lacks, which is the identity in use."""
    edit = class_name(name, **config)
    return {"plain": Case(lambda: [kl.Identity(name="tested"), kl.ReLU()], (IMAGE,), edit)}


AUGMENTING: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "AugMix": (kl.AugMix, {}),
    "CutMix": (kl.CutMix, {}),
    "Equalization": (kl.Equalization, {}),
    "MixUp": (kl.MixUp, {}),
    "RandAugment": (kl.RandAugment, {}),
    "RandomBrightness": (kl.RandomBrightness, {"factor": 0.3}),
    "RandomColorDegeneration": (kl.RandomColorDegeneration, {"factor": 0.3}),
    "RandomColorJitter": (kl.RandomColorJitter, {"hue_factor": 0.3}),
    "RandomContrast": (kl.RandomContrast, {"factor": 0.3}),
    "RandomElasticTransform": (kl.RandomElasticTransform, {}),
    "RandomErasing": (kl.RandomErasing, {}),
    "RandomFlip": (kl.RandomFlip, {"mode": "horizontal"}),
    "RandomGaussianBlur": (kl.RandomGaussianBlur, {}),
    "RandomGrayscale": (kl.RandomGrayscale, {}),
    "RandomHue": (kl.RandomHue, {"factor": 0.3}),
    "RandomInvert": (kl.RandomInvert, {}),
    "RandomPerspective": (kl.RandomPerspective, {}),
    "RandomPosterization": (kl.RandomPosterization, {"factor": 3}),
    "RandomRotation": (kl.RandomRotation, {"factor": 0.3}),
    "RandomSaturation": (kl.RandomSaturation, {"factor": 0.3}),
    "RandomSharpness": (kl.RandomSharpness, {"factor": 0.3}),
    "RandomShear": (kl.RandomShear, {"x_factor": 0.3}),
    "RandomTranslation": (kl.RandomTranslation, {"height_factor": 0.3, "width_factor": 0.1}),
    "RandomZoom": (kl.RandomZoom, {"height_factor": 0.3}),
    "Solarization": (kl.Solarization, {}),
}

CASES: dict[str, dict[str, Case]] = {
    "Resizing": options(kl.Resizing, RESIZINGS, IMAGE)
    | channels_first(kl.Resizing, 2, height=11, width=7)
    | {"unknown sizes": Case(lambda: kl.Resizing(7, 9, name="tested"), (OPEN,), sizes=(IMAGE,))},
    "CenterCrop": options(kl.CenterCrop, CROPS, IMAGE) | channels_first(kl.CenterCrop, 2, height=5, width=6),
    **{name: unchanged(layer, **config) for name, (layer, config) in AUGMENTING.items()},
    "RandomHeight": of_keras_2("RandomHeight", factor=0.3, interpolation="bilinear"),
    "RandomWidth": of_keras_2("RandomWidth", factor=[0.1, 0.3], interpolation="nearest"),
}
