"""Networks that give an image or a volume: encoders and decoders, pyramids, branches of several resolutions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers as kl
from keras import ops

from tests.converters.architectures.architecture import Architecture
from tests.converters.architectures.blocks import (
    Encoder,
    Image,
    conv_bn,
    efficientnet,
    gated_resnext,
    inception,
    mobilenet,
    preactivated_resnet,
    squeeze_and_excite,
    vgg,
)

OPEN = (None, None, 3)

Decoder = Callable[[Image, list[Image]], Image]


def unet_decoder(x: Image, skips: list[Image]) -> Image:
    for stage, skip in enumerate(skips):
        x = kl.UpSampling2D(2, name=f"decoder_stage{stage}_upsampling")(x)
        x = kl.Concatenate(axis=3, name=f"decoder_stage{stage}_concat")([x, skip])
        x = conv_bn(conv_bn(x, 4), 4)
    return x


def transposing_decoder(x: Image, skips: list[Image]) -> Image:
    for stage, skip in enumerate(skips):
        x = kl.Conv2DTranspose(4, 4 - stage, strides=2, padding="same", use_bias=False)(x)
        x = conv_bn(kl.Concatenate()([x, skip]), 4)
    return x


def linknet_decoder(x: Image, skips: list[Image]) -> Image:
    for skip in skips:
        x = kl.UpSampling2D(2)(conv_bn(x, 2, 1))
        x = kl.Add()([conv_bn(conv_bn(x, skip.shape[-1]), skip.shape[-1], 1), skip])
    return x


def pyramid_decoder(x: Image, skips: list[Image]) -> Image:
    levels = [kl.Conv2D(6, 1)(x)]
    for skip in skips:
        levels.append(kl.Add()([kl.UpSampling2D(2)(levels[-1]), kl.Conv2D(6, 1)(skip)]))
    parts = []
    for number, level in enumerate(levels):
        factor = 2 ** (len(levels) - 1 - number)
        mode = "bilinear" if number else "nearest"
        part = conv_bn(level, 3)
        parts.append(kl.UpSampling2D(factor, interpolation=mode)(part) if factor > 1 else part)
    return kl.SpatialDropout2D(0.2)(kl.Concatenate(name="aggregation_concat")(parts))


def pooling_decoder(x: Image, skips: list[Image]) -> Image:
    """Means over windows of fixed sizes beside the image itself: needs a known size."""
    parts = [x]
    for window in (x.shape[1], 2):
        part = kl.AveragePooling2D(window, strides=window, padding="same")(x)
        parts.append(kl.UpSampling2D(window, interpolation="bilinear")(conv_bn(part, 2, 1)))
    return kl.UpSampling2D(2, interpolation="bilinear")(conv_bn(kl.Concatenate()(parts), 4, 1))


def segmentation(encoder: Encoder, decoder: Decoder, shape: Sequence[int | None], end: str) -> keras.Model:
    image = keras.Input(shape, name="data")
    x = kl.UpSampling2D(2, name="last_upsampling")(decoder(*encoder(image)))
    x = kl.Conv2D(3, 3, padding="same", name="final_conv")(x)
    return keras.Model(image, kl.Activation(end, name=end)(x), name="net (a-b) 1.0")


def volume_unet() -> keras.Model:
    x = image = keras.Input((None, None, None, 2))
    skips = []
    for filters in (4, 6):
        x = kl.BatchNormalization()(kl.Conv3D(filters, 3, padding="same")(x))
        x = squeeze_and_excite(kl.LeakyReLU(negative_slope=0.01)(x))
        skips.append(x)
        x = kl.MaxPooling3D(2)(x)
    x = kl.SpatialDropout3D(0.3)(kl.Conv3D(8, (3, 1, 3), padding="same", activation="elu")(x))
    for filters, skip in zip((6, 4), skips[::-1], strict=True):
        x = kl.Concatenate()([kl.Conv3DTranspose(filters, 2, strides=2, padding="same")(x), skip])
        x = kl.Activation("relu")(kl.GroupNormalization(2)(kl.Conv3D(filters, 3, padding="same")(x)))
    return keras.Model(image, kl.Conv3D(1, 1, activation="sigmoid")(x))


def permuted_classes() -> keras.Model:
    """Softmax over rows of pixels, which old networks reach by way of channels first."""
    image = keras.Input((16, 12, 3))
    x = kl.Permute((3, 1, 2))(kl.Conv2D(5, 1)(conv_bn(image, 4)))
    x = kl.Permute((2, 1))(kl.Reshape((5, 16 * 12))(x))
    return keras.Model(image, kl.Activation("softmax")(x))


def separable(x: Image, filters: int, rate: int = 1) -> Image:
    x = kl.DepthwiseConv2D(3, dilation_rate=rate, padding="same", use_bias=False)(kl.ReLU()(x))
    return conv_bn(kl.BatchNormalization()(x), filters, 1, 1, None)


def atrous_pyramid(shape: Sequence[int | None]) -> keras.Model:
    """Dilated kernels side by side, and the mean of the image brought back to its size."""
    image = keras.Input(shape)
    x = low = conv_bn(image, 6, 3, 2)
    x = conv_bn(x, 6, 3, 2)
    x = kl.Add()([x, separable(x, 6, 2)])
    if shape[0] is None:
        mean = conv_bn(kl.GlobalAveragePooling2D(keepdims=True)(x), 6, 1)
        x = kl.Add()([x, mean])
    else:
        mean = ops.expand_dims(ops.expand_dims(kl.GlobalAveragePooling2D()(x), 1), 1)
        mean = kl.UpSampling2D(x.shape[1:3], interpolation="bilinear")(conv_bn(mean, 3, 1))
        x = kl.Concatenate()([mean, conv_bn(x, 3, 1), separable(x, 3, 2), separable(x, 3, 4)])
    x = kl.UpSampling2D(2, interpolation="bilinear")(kl.Dropout(0.1)(conv_bn(x, 4, 1)))
    x = separable(kl.Concatenate()([x, conv_bn(low, 3, 1)]), 4)
    return keras.Model(image, kl.UpSampling2D(2, interpolation="bilinear")(kl.Conv2D(3, 1)(x)))


def parallel_resolutions() -> keras.Model:
    image = keras.Input(OPEN)
    x = conv_bn(image, 6, 3, 2)
    high, low = conv_bn(x, 4), conv_bn(x, 6, 3, 2)
    for _exchange in range(2):
        lifted = kl.UpSampling2D(2)(conv_bn(low, 4, 1, 1, None))
        high, low = (
            kl.Activation("relu")(kl.Add()([high, lifted])),
            kl.Activation("relu")(kl.Add()([low, conv_bn(high, 6, 3, 2, None)])),
        )
    x = kl.Concatenate()([high, kl.UpSampling2D(2, interpolation="bilinear")(low)])
    return keras.Model(image, kl.Conv2D(2, 1)(x))


def gated_skips() -> keras.Model:
    x = image = keras.Input((None, None, 1))
    skips = []
    for filters in (4, 6):
        x = conv_bn(x, filters)
        skips.append(x)
        x = kl.MaxPooling2D()(x)
    for filters, skip in zip((6, 4), skips[::-1], strict=True):
        gate = kl.add([kl.Conv2D(4, 1)(x), kl.Conv2D(4, 2, strides=2)(skip)])
        gate = kl.Conv2D(1, 1, activation="sigmoid")(kl.Activation("relu")(gate))
        skip = kl.multiply([skip, kl.UpSampling2D(2)(gate)])
        x = conv_bn(kl.Concatenate()([kl.UpSampling2D(2)(x), skip]), filters)
    return keras.Model(image, kl.Conv2D(1, 1, activation="sigmoid")(x))


def nested_unet() -> keras.Model:
    """Every level joined with all before it, and an output of each."""
    image = keras.Input(OPEN)
    at: dict[tuple[int, int], Any] = {}
    for depth in range(3):
        at[depth, 0] = conv_bn(kl.MaxPooling2D()(at[depth - 1, 0]) if depth else image, 3 * 2**depth)
    for step in (1, 2):
        for depth in range(3 - step):
            lifted = kl.Conv2DTranspose(3 * 2**depth, 2, strides=2)(at[depth + 1, step - 1])
            at[depth, step] = conv_bn(kl.Concatenate()([*(at[depth, k] for k in range(step)), lifted]), 3 * 2**depth)
    return keras.Model(image, [kl.Conv2D(1, 1, activation="sigmoid")(at[0, step]) for step in (1, 2)])


def super_resolution() -> keras.Model:
    """Residuals that are scaled down, and channels that become pixels."""
    image = keras.Input((12, 10, 3))
    x = start = kl.Conv2D(6, 5, padding="same", activation="tanh")(kl.Rescaling(1 / 255)(image))
    for _block in range(2):
        y = kl.Conv2D(6, 3, padding="same")(kl.Conv2D(6, 3, padding="same", activation="relu")(x))
        x = kl.Add()([x, kl.Rescaling(0.1)(y)])
    x = kl.Conv2D(12, 3, padding="same")(kl.Add()([x, start]))
    x = ops.transpose(ops.reshape(x, (-1, 12, 10, 2, 2, 3)), (0, 1, 3, 2, 4, 5))
    return keras.Model(image, ops.reshape(x, (-1, 24, 20, 3)))


COMBINED: dict[str, tuple[Encoder, Decoder]] = {
    "U-Net over a preactivated ResNet": (preactivated_resnet, unet_decoder),
    "U-Net with transposed convolutions over VGG": (vgg, transposing_decoder),
    "Linknet over a gated ResNeXt": (gated_resnext, linknet_decoder),
    "Linknet over MobileNet": (mobilenet, linknet_decoder),
    "pyramid over EfficientNet": (efficientnet, pyramid_decoder),
    "pyramid over Inception": (inception, pyramid_decoder),
}

NETWORKS: dict[str, Architecture] = {
    **{
        name: Architecture(partial(segmentation, *parts, OPEN, "sigmoid"), ((32, 64, 3),))
        for name, parts in COMBINED.items()
    },
    "pooled pyramid over VGG": Architecture(
        partial(segmentation, vgg, pooling_decoder, (16, 16, 3), "softmax"), ((16, 16, 3),)
    ),
    "U-Net of volumes": Architecture(volume_unet, ((8, 12, 4, 2),)),
    "classes by way of channels first": Architecture(permuted_classes, ((16, 12, 3),), raw_outputs=True),
    "atrous pyramid": Architecture(partial(atrous_pyramid, (16, 16, 3)), ((16, 16, 3),)),
    "atrous pyramid of any size": Architecture(partial(atrous_pyramid, OPEN), ((16, 24, 3),)),
    "parallel resolutions": Architecture(parallel_resolutions, ((16, 24, 3),)),
    "U-Net with gated skips": Architecture(gated_skips, ((16, 24, 1),)),
    "nested U-Net": Architecture(nested_unet, ((16, 24, 3),)),
    "super-resolution": Architecture(super_resolution, ((12, 10, 3),), raw_outputs=True),
}
