"""Images of another size, parts, borders and patches."""

from keras import ops

from tests.converters.operation_cases.case import Compute

CASES: dict[str, dict[str, Compute]] = {
    "CropImages": {
        "borders": lambda x, y: ops.image.crop_images(x, 1, 2, 3, 1),
        "sizes": lambda x, y: ops.image.crop_images(
            x, top_cropping=2, right_cropping=1, target_height=5, target_width=3
        ),
    },
    "DepthToSpace": {
        "plain": lambda x, y: ops.depth_to_space(ops.concatenate([x, y, y, x], axis=-1), 2),
    },
    "ExtractPatches": {
        "plain": lambda x, y: ops.image.extract_patches(x, 2),
        "strides and padding": lambda x, y: ops.image.extract_patches(x, (3, 2), strides=(2, 1), padding="same"),
        "dilation": lambda x, y: ops.image.extract_patches(x, 2, strides=1, dilation_rate=2),
    },
    "PadImages": {
        "borders": lambda x, y: ops.image.pad_images(x, 1, 2, 3, 1),
        "sizes": lambda x, y: ops.image.pad_images(x, top_padding=2, right_padding=1, target_height=11, target_width=9),
    },
    "Resize": {
        "twice the size": lambda x, y: ops.image.resize(x, (16, 12)),
        "odd sizes": lambda x, y: ops.image.resize(x, (11, 7)),
        "smaller": lambda x, y: ops.image.resize(x, (3, 4)),
        "nearest": lambda x, y: ops.image.resize(x, (11, 4), interpolation="nearest"),
        "bicubic": lambda x, y: ops.image.resize(x, (11, 4), interpolation="bicubic"),
        "antialias": lambda x, y: ops.image.resize(x, (3, 4), antialias=True),
        "bicubic antialias": lambda x, y: ops.image.resize(x, (5, 9), interpolation="bicubic", antialias=True),
        "nearest antialias": lambda x, y: ops.image.resize(x, (3, 4), interpolation="nearest", antialias=True),
        "channels first": lambda x, y: ops.image.resize(x, (9, 5), data_format="channels_first"),
        "cropped": lambda x, y: ops.image.resize(x, (5, 9), crop_to_aspect_ratio=True),
        "padded": lambda x, y: ops.image.resize(x, (5, 9), pad_to_aspect_ratio=True, fill_value=1.5),
    },
    "RGBToGrayscale": {
        "plain": lambda x, y: ops.image.rgb_to_grayscale(x),
        "gray": lambda x, y: ops.image.rgb_to_grayscale(x[..., :1]) + y,
    },
    "SpaceToDepth": {"plain": lambda x, y: ops.space_to_depth(x, 2)},
}
