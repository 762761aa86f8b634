"""Blocks and encoders that architectures share. An encoder gives its last image and the skips, smallest first."""

from collections.abc import Callable
from typing import Any

from keras import layers as kl

Image = Any
"""A symbolic tensor of Keras."""

Encoder = Callable[[Image], tuple[Image, list[Image]]]


def conv_bn(x: Image, filters: int, kernel: Any = 3, strides: int = 1, activation: str | None = "relu") -> Image:
    x = kl.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    x = kl.BatchNormalization()(x)
    return x if activation is None else kl.Activation(activation)(x)


def squeeze_and_excite(x: Image, activation: str = "relu") -> Image:
    channels = x.shape[-1]
    gate = kl.Reshape((1,) * (len(x.shape) - 2) + (channels,))(globally_averaged(x))
    gate = kl.Dense(max(channels // 4, 1), activation=activation)(gate)
    return kl.Multiply()([x, kl.Dense(channels, activation="sigmoid")(gate)])


def globally_averaged(x: Image) -> Image:
    return (kl.GlobalAveragePooling2D if len(x.shape) == 4 else kl.GlobalAveragePooling3D)()(x)


def preactivated_resnet(x: Image) -> tuple[Image, list[Image]]:
    """Normalisation before each convolution, of the image itself without a scale; padding in layers of its own."""
    x = kl.BatchNormalization(scale=False, epsilon=2e-5, name="bn_data")(x)
    x = kl.Conv2D(4, 7, strides=2, use_bias=False, name="conv0")(kl.ZeroPadding2D(3)(x))
    x = kl.Activation("relu", name="relu0")(kl.BatchNormalization(epsilon=2e-5, name="bn0")(x))
    skips = [x]
    x = kl.MaxPooling2D(3, strides=2, name="pooling0")(kl.ZeroPadding2D(1)(x))
    for stage, filters in enumerate((4, 8)):
        for unit in range(2):
            strides = 2 if stage and not unit else 1
            y = kl.Activation("relu")(kl.BatchNormalization(epsilon=2e-5)(x))
            if stage and not unit:
                skips.append(y)
            shortcut = x if unit else kl.Conv2D(filters, 1, strides=strides, use_bias=False)(y)
            y = kl.Conv2D(filters, 3, strides=strides, use_bias=False)(kl.ZeroPadding2D(1)(y))
            y = kl.Activation("relu")(kl.BatchNormalization(epsilon=2e-5)(y))
            x = kl.Add()([kl.Conv2D(filters, 3, use_bias=False)(kl.ZeroPadding2D(1)(y)), shortcut])
    return kl.Activation("relu", name="relu1")(kl.BatchNormalization(name="bn1")(x)), skips[::-1]


def gated_resnext(x: Image) -> tuple[Image, list[Image]]:
    """Convolutions in groups, each block's result weighed by channel."""
    x = conv_bn(x, 8, 7, 2)
    skips = [x]
    x = kl.MaxPooling2D(3, 2, padding="same")(x)
    for stage, filters in enumerate((8, 16)):
        if stage:
            skips.append(x)
        shortcut = conv_bn(x, filters, 1, 1 + stage, None)
        y = kl.ZeroPadding2D(1)(conv_bn(x, filters, 1))
        y = kl.Activation("relu")(
            kl.BatchNormalization()(kl.Conv2D(filters, 3, strides=1 + stage, groups=4, use_bias=False)(y))
        )
        x = kl.Activation("relu")(kl.Add()([squeeze_and_excite(conv_bn(y, filters, 1, 1, None)), shortcut]))
    return x, skips[::-1]


def mobilenet(x: Image) -> tuple[Image, list[Image]]:
    """Inverted residuals; where the image is halved, it is padded on one side only."""
    x = kl.Conv2D(4, 3, strides=2, use_bias=False, name="Conv1")(
        kl.ZeroPadding2D(((0, 1), (0, 1)), name="Conv1_pad")(x)
    )
    x = kl.ReLU(6.0, name="Conv1_relu")(kl.BatchNormalization(momentum=0.999, name="bn_Conv1")(x))
    skips = [x]
    for strides in (2, 1):
        y = kl.ReLU(6.0)(kl.BatchNormalization(momentum=0.999)(kl.Conv2D(24, 1, use_bias=False)(x)))
        padding = "same" if strides == 1 else "valid"
        y = kl.ZeroPadding2D(((0, 1), (0, 1)))(y) if strides == 2 else y
        y = kl.DepthwiseConv2D(3, strides, padding=padding, use_bias=False)(y)
        y = conv_bn(kl.ReLU(6.0)(kl.BatchNormalization(momentum=0.999)(y)), 4, 1, 1, None)
        x = kl.Add()([x, y]) if strides == 1 else y
    return x, skips


def efficientnet(x: Image) -> tuple[Image, list[Image]]:
    """Gated inverted residuals, of which whole samples are dropped."""
    x = conv_bn(x, 4, 3, 2, "swish")
    skips = [x]
    for strides in (2, 1):
        y = kl.DepthwiseConv2D(5, strides, padding="same", use_bias=False)(conv_bn(x, 16, 1, 1, "swish"))
        y = kl.Activation("swish")(kl.BatchNormalization()(y))
        y = conv_bn(squeeze_and_excite(y, "swish"), 4, 1, 1, None)
        x = kl.Add()([kl.Dropout(0.2, noise_shape=(None, 1, 1, 1))(y), x]) if strides == 1 else y
    return x, skips


def vgg(x: Image) -> tuple[Image, list[Image]]:
    skips = []
    for block in range(2):
        for conv in range(2):
            name = f"block{block + 1}_conv{conv + 1}"
            x = kl.Conv2D(4 * 2**block, 3, padding="same", activation="relu", name=name)(x)
        skips.append(x)
        x = kl.MaxPooling2D(2, 2, name=f"block{block + 1}_pool")(x)
    return x, skips[::-1]


def inception(x: Image) -> tuple[Image, list[Image]]:
    """Kernels of several shapes side by side."""
    x = conv_bn(x, 4, 3, 2)
    skips = [x]
    x = kl.MaxPooling2D(3, 2, padding="same")(x)
    pooled = kl.AveragePooling2D(3, 1)(kl.ZeroPadding2D(1)(x))
    branches = [
        conv_bn(x, 4, 1),
        conv_bn(conv_bn(x, 3, 1), 4, 5),
        conv_bn(conv_bn(x, 3, (1, 7)), 4, (7, 1)),
        conv_bn(pooled, 3, 1),
    ]
    return kl.Concatenate(axis=3, name="mixed0")(branches), skips
