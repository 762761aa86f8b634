"""Layers that bring images to another height and width."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from converters.keys import Keys
from converters.layers.data_format import DataFormat, read_data_format
from converters.layers.interpolation import (
    BICUBIC_OF_TENSORFLOW,
    BICUBIC_OF_TORCH,
    BICUBIC_OF_TORCH_WIDENED,
    LINEAR,
    Interpolation,
    Kernel,
)
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.resizing import Border, cropped, cropped_to_ratio, known_sizes, padded_to_ratio, resized
from converters.layers.tensor import Tensor

__all__ = ["BICUBIC_NOTICE", "CenterCropConfig", "ResizingConfig", "center_crop", "resizing"]

BICUBIC_NOTICE = "is bicubic as Keras computes it on torch; on TensorFlow and JAX it weighs the cells otherwise"


class Between(Enum):
    """How a cell of the new image is made of those of the old one."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


@dataclass(frozen=True)
class ResizingConfig:
    """Keras `Resizing`, checked: height and width of what it gives.

    `crops` takes the largest part in the middle that has their ratio, `pads` puts `fill_value` around the image.
    """

    sizes: tuple[int, int]
    interpolation: Interpolation
    crops: bool
    pads: bool
    fill_value: float
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys) -> "ResizingConfig":
        between = keys.choice("interpolation", Between, default=Between.BILINEAR)
        antialias = keys.flag("antialias", default=False) and between is not Between.NEAREST
        keys.refuse_unless("fill_mode", "constant", "Keras itself knows no other")
        return cls(
            (keys.integer("height"), keys.integer("width")),
            Interpolation(_kernel(between, antialias, keys), antialias=antialias),
            keys.flag("crop_to_aspect_ratio", default=False),
            keys.flag("pad_to_aspect_ratio", default=False),
            keys.number("fill_value", default=0.0),
            read_data_format(keys),
        )


def _kernel(between: Between, antialias: bool, keys: Keys) -> Kernel | None:
    if between is not Between.BICUBIC:
        return LINEAR if between is Between.BILINEAR else None
    if keys.written_by_keras_2:
        return BICUBIC_OF_TENSORFLOW
    keys.notice("interpolation", BICUBIC_NOTICE)
    return BICUBIC_OF_TORCH_WIDENED if antialias else BICUBIC_OF_TORCH


@converts("Resizing", config=ResizingConfig.read)
def resizing(config: ResizingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, H, W) at another height and width, if asked for cropped or padded to their ratio before.

    Raises ConversionError if a size of x is unknown that must be known for that.
    Source: keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing.
    """
    x = layer.image(inputs[0], config.data_format, 2)
    if config.crops:
        x = cropped_to_ratio(x, config.sizes, layer)
    elif config.pads:
        x = padded_to_ratio(x, config.sizes, layer, config.fill_value)
    return resized(x, config.sizes, config.interpolation, layer)


@dataclass(frozen=True)
class CenterCropConfig:
    """Keras `CenterCrop`, checked: height and width of what it gives."""

    sizes: tuple[int, int]
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys) -> "CenterCropConfig":
        return cls((keys.integer("height"), keys.integer("width")), read_data_format(keys))


@converts("CenterCrop", config=CenterCropConfig.read)
def center_crop(config: CenterCropConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The middle of x (N, C, H, W); of an image too small for that, the middle of its ratio, made larger.

    Raises ConversionError if a size of x is unknown.
    Source: keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop.
    """
    x = layer.image(inputs[0], config.data_format, 2)
    rows, columns = (old - new for old, new in zip(known_sizes(x, layer), config.sizes, strict=True))
    if min(rows, columns) < 0:
        return resized(cropped_to_ratio(x, config.sizes, layer), config.sizes, Interpolation(LINEAR), layer)
    return cropped(x, Border(rows // 2, rows - rows // 2, columns // 2, columns - columns // 2), layer)
