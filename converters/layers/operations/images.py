"""Operations on images: another size, part of one, a border, patches, and channels against space."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from converters.axes import convolution_kernel
from converters.layers.convolution import convolve
from converters.layers.data_format import DataFormat
from converters.layers.image_size import BICUBIC_NOTICE
from converters.layers.interpolation import (
    BICUBIC_OF_TENSORFLOW,
    BICUBIC_OF_TENSORFLOW_1,
    BICUBIC_OF_TORCH,
    BICUBIC_OF_TORCH_WIDENED,
    LINEAR,
    Coordinates,
    Interpolation,
    Kernel,
)
from converters.layers.layer_builder import LayerBuilder
from converters.layers.operations.arguments import Arguments
from converters.layers.operations.registry import operation
from converters.layers.resizing import (
    Border,
    cropped,
    cropped_to_ratio,
    known_sizes,
    padded,
    padded_to_ratio,
    resized,
)
from converters.layers.tensor import Extent, Tensor
from converters.layers.window import Padding, Window

__all__ = [
    "central_crop",
    "data_format",
    "depth_to_space",
    "extract_patches",
    "extract_patches_of_tensorflow",
    "resize",
    "resize_of_tensorflow",
    "rgb_to_grayscale",
]

DATA_FORMATS: Mapping[str, DataFormat] = {
    "channels_last": DataFormat.CHANNELS_LAST,
    "channels_first": DataFormat.CHANNELS_FIRST,
    "nwc": DataFormat.CHANNELS_LAST,
    "nhwc": DataFormat.CHANNELS_LAST,
    "ndhwc": DataFormat.CHANNELS_LAST,
    "ncw": DataFormat.CHANNELS_FIRST,
    "nchw": DataFormat.CHANNELS_FIRST,
    "ncdhw": DataFormat.CHANNELS_FIRST,
}
"""How Keras and TensorFlow write where the channels are, in small letters."""


def data_format(arguments: Arguments) -> DataFormat:
    """The argument of that name; channels last without one."""
    return arguments.choice("data_format", DATA_FORMATS, "channels_last")


def _image(name: str, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """An input with two spatial axes, stored (N, C, H, W)."""
    return layer.image(arguments.tensor(name), data_format(arguments), 2)


def _two_sizes(arguments: Arguments, name: str) -> tuple[Extent, Extent]:
    sizes = arguments.extents(name)
    if len(sizes) != 2 or not all(_is_size(size) for size in sizes):
        raise arguments.refusal(name, "a height and a width")
    return sizes[0], sizes[1]


def _is_size(extent: Extent) -> bool:
    return not isinstance(extent, str) and extent != -1


def _two_known_sizes(arguments: Arguments, name: str) -> tuple[int, int]:
    height, width = _two_sizes(arguments, name)
    if not isinstance(height, int) or not isinstance(width, int):
        raise arguments.refusal(name, "a height and a width that are known")
    return height, width


KERNELS: Mapping[str, Kernel | None] = {"nearest": None, "bilinear": LINEAR, "bicubic": BICUBIC_OF_TORCH}


@operation(
    "keras.ops.Resize",
    parameters="images size interpolation antialias crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value "
    "data_format",
)
def resize(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images at another height and width; if asked for, cropped or padded to the ratio of these before.

    Source: keras.io/api/ops/image, keras/src/backend/torch/image.py.
    """
    x = _image("images", arguments, layer)
    kernel = arguments.choice("interpolation", KERNELS, "bilinear")
    antialias = arguments.flag("antialias", default=False) and kernel is not None
    if kernel is BICUBIC_OF_TORCH:
        kernel = BICUBIC_OF_TORCH_WIDENED if antialias else kernel
        arguments.notice("interpolation", BICUBIC_NOTICE)
    arguments.refuse_unless("fill_mode", "constant", "Keras itself knows no other")
    crops, pads = (arguments.flag(f"{what}_to_aspect_ratio", default=False) for what in ("crop", "pad"))
    fill_value = arguments.number("fill_value", 0.0)
    if crops or pads:
        sizes = _two_known_sizes(arguments, "size")
        x = cropped_to_ratio(x, sizes, layer) if crops else padded_to_ratio(x, sizes, layer, fill_value)
    return resized(x, _two_sizes(arguments, "size"), Interpolation(kernel, antialias=antialias), layer)


TENSORFLOW_KERNELS: Mapping[str, Kernel | None] = {**KERNELS, "bicubic": BICUBIC_OF_TENSORFLOW}


@operation("tf.image.resize", parameters="images size method preserve_aspect_ratio antialias", needs_batch=False)
def resize_of_tensorflow(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images at another height and width.

    Source: tensorflow.org/api_docs/python/tf/image/resize.
    """
    x = _image("images", arguments, layer)
    kernel = arguments.choice("method", TENSORFLOW_KERNELS, "bilinear")
    arguments.refuse_unless("preserve_aspect_ratio", False, "the size is taken as it is written")
    antialias = arguments.flag("antialias", default=False) and kernel is not None
    return resized(x, _two_sizes(arguments, "size"), Interpolation(kernel, antialias=antialias), layer)


OLD_KERNELS: Mapping[str, Kernel | None] = {**KERNELS, "bicubic": BICUBIC_OF_TENSORFLOW_1}


def _old_resize(method: str | None, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images at another height and width, by the begins of cells or the corners of the image, as TensorFlow 1 did.

    Source: tensorflow.org/api_docs/python/tf/compat/v1/image/resize.
    """
    x = _image("images", arguments, layer)
    kernel = OLD_KERNELS[method] if method else arguments.choice("method", OLD_KERNELS, "bilinear")
    arguments.refuse_unless("preserve_aspect_ratio", False, "the size is taken as it is written")
    corners, centres = (arguments.flag(name, default=False) for name in ("align_corners", "half_pixel_centers"))
    if corners and (kernel is None or centres):
        raise arguments.refusal("align_corners", "false with the nearest cell, or with centres")
    kernel = BICUBIC_OF_TENSORFLOW if centres and kernel is BICUBIC_OF_TENSORFLOW_1 else kernel
    coordinates = Coordinates.CENTRES if centres else Coordinates.CORNERS if corners else Coordinates.BEGINS
    return resized(x, _two_sizes(arguments, "size"), Interpolation(kernel, coordinates), layer)


OLD_PARAMETERS = "images size method align_corners preserve_aspect_ratio half_pixel_centers"

operation("tf.compat.v1.image.resize_images", parameters=OLD_PARAMETERS)(partial(_old_resize, None))
for _name, _method in (("nearest_neighbor", "nearest"), ("bilinear", "bilinear"), ("bicubic", "bicubic")):
    operation(f"tf.compat.v1.image.resize_{_name}", parameters=OLD_PARAMETERS)(partial(_old_resize, _method))


def _framed(sign: int, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images with a border, or without: of a border, what is not given follows from the height and width asked for."""
    x = _image("images", arguments, layer)
    sizes = known_sizes(x, layer)
    ends = [
        _two_ends(*names, sign, size, arguments)
        for names, size in zip(
            (("top", "bottom", "target_height"), ("left", "right", "target_width")), sizes, strict=True
        )
    ]
    border = Border(*ends[0], *ends[1])
    return (padded if sign > 0 else cropped)(x, border, layer)


def _two_ends(before: str, after: str, target: str, sign: int, size: int, arguments: Arguments) -> tuple[int, int]:
    """Cells before and after an axis; of these two and of its new size, two must be given."""
    what = "padding" if sign > 0 else "cropping"
    names = f"{before}_{what}", f"{after}_{what}", target
    given = [arguments.integer(name, minimum=0) if arguments.has(name) else None for name in names]
    for name in names:
        arguments.value(name)
    first, last, new = given
    change = None if new is None else sign * (new - size)
    if given.count(None) != 1:
        raise arguments.refusal(names[0], f'two of "{names[0]}", "{names[1]}" and "{names[2]}"')
    first = change - (last or 0) if first is None and change is not None else first
    last = change - (first or 0) if last is None and change is not None else last
    if first is None or last is None or min(first, last) < 0:
        raise arguments.refusal(target, f"a size that an axis of {size} can be brought to so")
    return first, last


for _sign, _name, _what in ((1, "keras.ops.PadImages", "padding"), (-1, "keras.ops.CropImages", "cropping")):
    _sides = " ".join(f"{side}_{_what}" for side in ("top", "left", "bottom", "right"))
    operation(_name, parameters=f"images {_sides} target_height target_width data_format")(partial(_framed, _sign))


def _boxed(sign: int, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images cut to a box, or put into a larger one, that begins at a row and a column."""
    x = layer.image(arguments.tensor("image"), DataFormat.CHANNELS_LAST, 2)
    offsets = [arguments.integer(f"offset_{name}", minimum=0) for name in ("height", "width")]
    ends: list[int] = []
    for name, offset, size in zip(("height", "width"), offsets, known_sizes(x, layer), strict=True):
        rest = sign * (arguments.integer(f"target_{name}", minimum=1) - size) - offset
        if rest < 0:
            raise arguments.refusal(f"target_{name}", f"a size that fits the {size} cells and the offset")
        ends += [offset, rest]
    return (padded if sign > 0 else cropped)(x, Border(*ends), layer)


BOX = "image offset_height offset_width target_height target_width"
operation("tf.image.pad_to_bounding_box", parameters=BOX)(partial(_boxed, 1))
operation("tf.image.crop_to_bounding_box", parameters=BOX)(partial(_boxed, -1))


@operation("tf.image.resize_with_crop_or_pad", parameters="image target_height target_width")
def resize_with_crop_or_pad(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images cut or padded with zeros around the middle to a height and a width."""
    x = layer.image(arguments.tensor("image"), DataFormat.CHANNELS_LAST, 2)
    sizes = known_sizes(x, layer)
    changes = [
        arguments.integer(f"target_{name}") - size for name, size in zip(("height", "width"), sizes, strict=True)
    ]
    cuts = [max(-change, 0) for change in changes]
    adds = [max(change, 0) for change in changes]
    x = cropped(x, Border(cuts[0] // 2, cuts[0] - cuts[0] // 2, cuts[1] // 2, cuts[1] - cuts[1] // 2), layer)
    return padded(x, Border(adds[0] // 2, adds[0] - adds[0] // 2, adds[1] // 2, adds[1] - adds[1] // 2), layer)


@operation("tf.image.central_crop", parameters="image central_fraction")
def central_crop(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """A share of the height and of the width of images, around the middle.

    Source: tensorflow.org/api_docs/python/tf/image/central_crop.
    """
    x = layer.image(arguments.tensor("image"), DataFormat.CHANNELS_LAST, 2)
    share = arguments.number("central_fraction")
    if not 0 < share <= 1:
        raise arguments.refusal("central_fraction", "a number above 0, and no more than 1")
    height, width = (int((size - size * share) / 2) for size in known_sizes(x, layer))
    return cropped(x, Border(height, height, width, width), layer)


GRAY = (0.2989, 0.5870, 0.1140)
"""Shares of red, green and blue."""


@operation("keras.ops.RGBToGrayscale", "tf.image.rgb_to_grayscale", parameters="images data_format")
def rgb_to_grayscale(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """The brightness of red, green and blue, in one channel; what has one channel stays as it is."""
    x = _image("images", arguments, layer)
    channels = layer.known_size(x, 1)
    if channels == 1:
        return x
    if channels != 3:
        raise layer.error(f"takes images of 3 channels, and is given {channels}", "Give red, green and blue.")
    kernel = np.array(GRAY, np.float32).reshape(1, 3, 1, 1)
    window = Window((1, 1), (1, 1), (1, 1), Padding.VALID)
    return convolve(x, [layer.constant("kernel", kernel)], window, 1, layer)


@operation("tf.image.flip_left_right", parameters="image")
def flip_left_right(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images with left and right in each other's place."""
    return _mirrored(3, arguments, layer)


@operation("tf.image.flip_up_down", parameters="image")
def flip_up_down(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Images with top and bottom in each other's place."""
    return _mirrored(2, arguments, layer)


def _mirrored(stored_axis: int, arguments: Arguments, layer: LayerBuilder) -> Tensor:
    x = layer.image(arguments.tensor("image"), DataFormat.CHANNELS_LAST, 2)
    bounds = {"starts": -1, "ends": np.iinfo(np.int64).min, "axes": stored_axis, "steps": -1}
    constants = [layer.constant(name, np.array([number], np.int64)) for name, number in bounds.items()]
    return Tensor(layer.op("Slice", [x.value, *constants]), x.layout)


@operation(
    "keras.ops.DepthToSpace",
    "tf.nn.depth_to_space",
    "tf.compat.v1.nn.depth_to_space",
    parameters="x|input block_size data_format",
)
def depth_to_space(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Each cell's channels as a block of cells of fewer channels."""
    x = _image("x", arguments, layer)
    size = arguments.integer("block_size", minimum=1)
    channels = layer.known_size(x, 1)
    if channels % (size * size):
        raise arguments.refusal("block_size", f"a number whose square divides the {channels} channels")
    return Tensor(layer.op("DepthToSpace", [x.value], blocksize=size), x.layout)


@operation(
    "keras.ops.SpaceToDepth",
    "tf.nn.space_to_depth",
    "tf.compat.v1.nn.space_to_depth",
    parameters="x|input block_size data_format",
)
def space_to_depth(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Each block of cells as one cell of more channels."""
    x = _image("x", arguments, layer)
    size = arguments.integer("block_size", minimum=1)
    if any(isinstance(cells, int) and cells % size for cells in x.stored_shape[2:]):
        raise arguments.refusal("block_size", f"a number that divides the sizes {list(x.stored_shape[2:])}")
    return Tensor(layer.op("SpaceToDepth", [x.value], blocksize=size), x.layout)


MAX_PATCH = 4096
"""Numbers in a patch: the kernel that picks them has that many squared."""


@operation("keras.ops.ExtractPatches", parameters="images size strides dilation_rate padding data_format")
def extract_patches(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Windows over images or volumes, each as the channels of one cell: rows, columns, channels.

    Source: keras/src/ops/image.py.
    """
    given: Sequence[int] = arguments.integers("size", minimum=1)
    rank = 3 if len(given) == 3 else 2
    size = arguments.integers_for("size", rank)
    strides = arguments.integers_for("strides", rank) if arguments.has("strides") else size
    arguments.value("strides")
    dilation = arguments.integers_for("dilation_rate", rank, 1)
    padding = arguments.choice("padding", {member.value: member for member in Padding}, "valid")
    x = layer.image(arguments.tensor("images"), data_format(arguments), rank)
    return _patches(x, Window(size, strides, dilation, padding), layer)


@operation("tf.image.extract_patches", parameters="images sizes strides rates padding")
def extract_patches_of_tensorflow(arguments: Arguments, layer: LayerBuilder) -> Tensor:
    """Windows over images, each as the channels of one cell: rows, columns, channels.

    Source: tensorflow.org/api_docs/python/tf/image/extract_patches.
    """
    pairs = []
    for name in ("sizes", "strides", "rates"):
        numbers = arguments.integers(name, minimum=1)
        if len(numbers) != 4 or (numbers[0], numbers[3]) != (1, 1):
            raise arguments.refusal(name, "four numbers, of which the first and the last are 1")
        pairs.append(numbers[1:3])
    padding = arguments.choice("padding", {"same": Padding.SAME, "valid": Padding.VALID}, "valid")
    x = layer.image(arguments.tensor("images"), DataFormat.CHANNELS_LAST, 2)
    size, strides, rates = pairs
    return _patches(x, Window(size, strides, rates, padding), layer)


def _patches(x: Tensor, window: Window, layer: LayerBuilder) -> Tensor:
    """What a window sees of x (N, C, s1...sn) at each place: a convolution whose kernels pick one number each."""
    size, rank = window.size, len(window.size)
    channels = layer.known_size(x, 1)
    count = int(np.prod(size, dtype=np.float64)) * channels
    if count > MAX_PATCH:
        raise layer.error(f"cuts patches of {count} numbers", f"Cut patches of at most {MAX_PATCH}.")
    kernel = np.eye(count, dtype=np.float32).reshape(*size, channels, count)
    weight = layer.constant("kernel", convolution_kernel(rank).to_onnx(kernel))
    return convolve(x, [weight], window, 1, layer)
