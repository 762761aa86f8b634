"""Layers that move, repeat, add or remove cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from converters.keys import Keys
from converters.layers.data_format import DataFormat, read_data_format
from converters.layers.layer_builder import LayerBuilder
from converters.layers.registry import converts
from converters.layers.tensor import Layout, Size, Tensor, shown
from converters.layers.window import Pads

__all__ = [
    "BorderConfig",
    "FlattenConfig",
    "Interpolation",
    "PermuteConfig",
    "RepeatVectorConfig",
    "ReshapeConfig",
    "UpSamplingConfig",
    "cropping",
    "flatten",
    "permute",
    "repeat_vector",
    "reshape",
    "up_sampling",
    "zero_padding",
]


@dataclass(frozen=True)
class FlattenConfig:
    """Keras `Flatten`, checked."""

    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys) -> "FlattenConfig":
        return cls(read_data_format(keys))


@converts("Flatten", config=FlattenConfig.read)
def flatten(config: FlattenConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The elements of x as (N, all); the channels of a cell stand together, also where Keras has them first.

    Source: keras.io/api/layers/reshaping_layers/flatten; ONNX Flatten.
    """
    (x,) = inputs
    if x.rank == 2:
        return x
    if config.data_format is DataFormat.CHANNELS_FIRST:
        x = Tensor(layer.keras_order(x).value, Layout.CHANNELS_FIRST)
    in_order = x if x.has_keras_element_order() else layer.keras_order(x)
    return Tensor(layer.op("Flatten", [layer.unshaped(in_order.value)]), Layout.KERAS)


@dataclass(frozen=True)
class ReshapeConfig:
    """Keras `Reshape`, checked: the sizes without the batch, at most one of them -1."""

    target_shape: tuple[int, ...]

    @classmethod
    def read(cls, keys: Keys) -> "ReshapeConfig":
        return cls(keys.target_shape("target_shape"))


@converts("Reshape", config=ReshapeConfig.read)
def reshape(config: ReshapeConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """The elements of x, in Keras' order, in another shape.

    Channels without space, (1...1, C), are stored first, since what convolves them wants them there.
    Raises ConversionError if the elements do not fit the shape.
    Source: keras.io/api/layers/reshaping_layers/reshape; ONNX Reshape.
    """
    (x,) = inputs
    target = _resolved(config.target_shape, x, layer)
    *spatial, channels = target
    layout = Layout.CHANNELS_FIRST if len(spatial) > 1 and all(size == 1 for size in spatial) else Layout.KERAS
    stored = (channels, *spatial) if layout is Layout.CHANNELS_FIRST else target
    in_order = x if x.has_keras_element_order() else layer.keras_order(x)
    return Tensor(layer.reshaped(in_order.value, stored), layout)


def _resolved(target: tuple[int, ...], x: Tensor, layer: LayerBuilder) -> tuple[int, ...]:
    """The target with its -1 as a size, where the elements of x are known to be so many."""
    known = [size for size in x.shape[1:] if isinstance(size, int)]
    if len(known) < x.rank - 1:
        return target
    elements, given = math.prod(known), math.prod(size for size in target if size != -1)
    if elements % given or (-1 not in target and elements != given):
        raise layer.error(
            f"its input {shown(x.shape)} has {elements} elements, which do not fit the shape {target}",
            "Write sizes whose product is the same; one of them may be -1.",
        )
    return tuple(elements // given if size == -1 else size for size in target)


@dataclass(frozen=True)
class PermuteConfig:
    """Keras `Permute`, checked: axes of the input in Keras' order, from 1, without the batch."""

    dims: tuple[int, ...]

    @classmethod
    def read(cls, keys: Keys) -> "PermuteConfig":
        dims = keys.integer_list("dims", minimum=1)
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise keys.error(
                "dims",
                f"is {list(dims)}, which does not name each axis once",
                f"Write the integers from 1 to {len(dims)} in another order.",
            )
        return cls(dims)


@converts("Permute", config=PermuteConfig.read)
def permute(config: PermuteConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x with its axes in another order.

    Raises ConversionError if x has more axes or fewer.
    Source: keras.io/api/layers/reshaping_layers/permute; ONNX Transpose.
    """
    (x,) = inputs
    if x.rank != len(config.dims) + 1:
        raise layer.error(
            f"orders {len(config.dims)} axes besides the batch, and its input {shown(x.shape)} has {x.rank - 1}",
            'Write all axes in "dims", from 1 on.',
        )
    order = [x.stored_axis(axis) for axis in (0, *config.dims)]
    return Tensor(layer.transposed(x.value, order), Layout.KERAS)


@dataclass(frozen=True)
class RepeatVectorConfig:
    """Keras `RepeatVector`, checked."""

    n: int

    @classmethod
    def read(cls, keys: Keys) -> "RepeatVectorConfig":
        return cls(keys.integer("n"))


@converts("RepeatVector", config=RepeatVectorConfig.read)
def repeat_vector(config: RepeatVectorConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, F) as (N, n, F), the same n times.

    Raises ConversionError if x is no vector.
    Source: keras.io/api/layers/reshaping_layers/repeat_vector; ONNX Unsqueeze and Expand.
    """
    (x,) = inputs
    if x.rank != 2:
        raise layer.error(
            f"takes an input (N, F), and is given {shown(x.shape)}", "Put a Flatten or a global pooling before it."
        )
    row = layer.op("Unsqueeze", [x.value, layer.constant("axes", np.array([1], np.int64))])
    sizes = layer.constant("sizes", np.array([1, config.n, 1], np.int64))
    return Tensor(layer.op("Expand", [row, sizes]), Layout.KERAS)


class Interpolation(Enum):
    """What stands between the cells of a smaller tensor."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    TRILINEAR = "trilinear"


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
MODES = {Interpolation.NEAREST: NEAREST, Interpolation.BILINEAR: LINEAR, Interpolation.TRILINEAR: LINEAR}
"""Attributes of the ONNX Resize that equals Keras' interpolation."""

INTERPOLATED_AXES = {Interpolation.BILINEAR: 2, Interpolation.TRILINEAR: 3}


@dataclass(frozen=True)
class UpSamplingConfig:
    """Keras `UpSampling1D`, `UpSampling2D`, `UpSampling3D`, checked: `size` is the factor on each axis."""

    size: tuple[int, ...]
    interpolation: Interpolation
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, rank: int) -> "UpSamplingConfig":
        interpolation = keys.choice("interpolation", Interpolation, default=Interpolation.NEAREST)
        needed = INTERPOLATED_AXES.get(interpolation, rank)
        if needed != rank:
            count = {2: "two", 3: "three"}[needed]
            raise keys.error(
                "interpolation",
                f'is "{interpolation.value}", which needs {count} spatial axes',
                'Write "nearest".',
            )
        return cls(keys.integers("size", rank, default=2), interpolation, read_data_format(keys))


@converts("UpSampling1D", config=partial(UpSamplingConfig.read, rank=1))
@converts("UpSampling2D", config=partial(UpSamplingConfig.read, rank=2))
@converts("UpSampling3D", config=partial(UpSamplingConfig.read, rank=3))
def up_sampling(config: UpSamplingConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) with every spatial size multiplied: cells repeated, or interpolated between their centres.

    Trilinear interpolation is no option of Keras, but of the reference program.
    Source: keras.io/api/layers/reshaping_layers/up_sampling2d; ONNX Resize, opset 13.
    """
    x = layer.image(inputs[0], config.data_format, len(config.size))
    scales = layer.constant("scales", np.array([1, 1, *config.size], np.float32))
    return Tensor(layer.op("Resize", [x.value, None, scales], **MODES[config.interpolation]), x.layout)


@dataclass(frozen=True)
class BorderConfig:
    """Keras `ZeroPadding1D`, `Cropping1D` and so on, checked: cells before and after each spatial axis."""

    cells: Pads
    data_format: DataFormat

    @classmethod
    def read(cls, keys: Keys, key: str, rank: int, default: int) -> "BorderConfig":
        return cls(keys.pads(key, rank, default=default), read_data_format(keys))

    @property
    def before(self) -> list[int]:
        return [before for before, _after in self.cells]

    @property
    def after(self) -> list[int]:
        return [after for _before, after in self.cells]


@converts("ZeroPadding1D", config=partial(BorderConfig.read, key="padding", rank=1, default=1))
@converts("ZeroPadding2D", config=partial(BorderConfig.read, key="padding", rank=2, default=1))
@converts("ZeroPadding3D", config=partial(BorderConfig.read, key="padding", rank=3, default=1))
def zero_padding(config: BorderConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) with zeros around it.

    Source: keras.io/api/layers/reshaping_layers/zero_padding2d; ONNX Pad, opset 13.
    """
    x = layer.image(inputs[0], config.data_format, len(config.cells))
    pads = layer.constant("pads", np.array([0, 0, *config.before, 0, 0, *config.after], np.int64))
    return Tensor(layer.op("Pad", [x.value, pads]), x.layout)


@converts("Cropping1D", config=partial(BorderConfig.read, key="cropping", rank=1, default=1))
@converts("Cropping2D", config=partial(BorderConfig.read, key="cropping", rank=2, default=0))
@converts("Cropping3D", config=partial(BorderConfig.read, key="cropping", rank=3, default=1))
def cropping(config: BorderConfig, inputs: Sequence[Tensor], layer: LayerBuilder) -> Tensor:
    """x (N, C, s1...sn) without its border.

    Raises ConversionError if nothing of x would be left.
    Source: keras.io/api/layers/reshaping_layers/cropping2d; ONNX Slice, opset 13.
    """
    x = layer.image(inputs[0], config.data_format, len(config.cells))
    spatial: tuple[Size, ...] = x.stored_shape[2:]
    if any(isinstance(size, int) and size <= sum(cells) for size, cells in zip(spatial, config.cells, strict=True)):
        raise layer.error(
            f"nothing is left of its input {shown(x.shape)}: it cuts off {[list(cells) for cells in config.cells]}",
            'Use a larger input, or cut less in "cropping".',
        )
    end = np.iinfo(np.int64).max
    bounds = {
        "starts": config.before,
        "ends": [-after if after else end for after in config.after],
        "axes": list(range(2, x.rank)),
    }
    operands = [layer.constant(what, np.array(numbers, np.int64)) for what, numbers in bounds.items()]
    return Tensor(layer.op("Slice", [x.value, *operands]), x.layout)
