"""Layers that change images at random in training, so that a network sees more of them: in use, they change nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from converters.keys import Keys
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Tensor

__all__ = ["AUGMENTATIONS", "OF_KERAS_2", "AugmentationConfig", "augmentation"]

COLOURS = ("factor", "value_range", "data_format")
FILLED = ("fill_mode", "fill_value", "interpolation", "data_format")

AUGMENTATIONS: Mapping[str, tuple[str, ...]] = {
    "AugMix": ("num_chains", "chain_depth", "alpha", "all_ops", "interpolation", *COLOURS),
    "CutMix": ("factor", "data_format"),
    "Equalization": ("bins", "value_range", "data_format"),
    "MixUp": ("alpha", "data_format"),
    "RandAugment": ("num_ops", "interpolation", *COLOURS),
    "RandomBrightness": ("factor", "value_range"),
    "RandomColorDegeneration": COLOURS,
    "RandomColorJitter": (
        *("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor", "value_range", "data_format"),
    ),
    "RandomContrast": ("factor", "value_range"),
    "RandomElasticTransform": ("factor", "scale", "value_range", *FILLED),
    "RandomErasing": ("scale", "fill_value", *COLOURS),
    "RandomFlip": ("mode", "data_format"),
    "RandomGaussianBlur": ("kernel_size", "sigma", *COLOURS),
    "RandomGrayscale": ("factor", "data_format"),
    "RandomHue": COLOURS,
    "RandomInvert": COLOURS,
    "RandomPerspective": ("factor", "scale", "interpolation", "fill_value", "data_format"),
    "RandomPosterization": COLOURS,
    "RandomRotation": ("factor", *FILLED),
    "RandomSaturation": COLOURS,
    "RandomSharpness": COLOURS,
    "RandomShear": ("x_factor", "y_factor", *FILLED),
    "RandomTranslation": ("height_factor", "width_factor", *FILLED),
    "RandomZoom": ("height_factor", "width_factor", *FILLED),
    "Solarization": ("addition_factor", "threshold_factor", "value_range"),
}
"""Class of Keras 3 -> the keys of its config.

Source: keras.io/api/layers/preprocessing_layers/image_augmentation.
"""

OF_KERAS_2 = {"RandomHeight": ("factor", "interpolation"), "RandomWidth": ("factor", "interpolation")}
"""Classes that Keras 3 lacks."""


@dataclass(frozen=True)
class AugmentationConfig:
    """A layer that augments images. Its keys are kept for the way back, and not checked: none says what it gives."""

    @classmethod
    def read(cls, keys: Keys, known: Sequence[str]) -> "AugmentationConfig":
        keys.raw("data_format")  # written for classes, too, whose constructors do not list it
        written = [key for key in known if keys.raw(key) is not None]
        if written:
            keys.notice(written[0], "has no effect: the layer passes its input on unchanged, also in training")
        return cls()


def augmentation(config: AugmentationConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x itself, without a node."""
    return inputs[0]


for _name, _keys in {**AUGMENTATIONS, **OF_KERAS_2}.items():
    converts(_name, config=partial(AugmentationConfig.read, known=_keys))(augmentation)
