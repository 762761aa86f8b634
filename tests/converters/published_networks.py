"""Networks with published parameter counts, built with Keras from what their publications say.

Each is a function that gives a Keras model; under `keras.device("meta")` no weight is allocated.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import applications
from keras import layers as kl

__all__ = ["PUBLISHED", "Published", "res_unet", "xception_unet", "yolo_v3"]


Size = int | tuple[int, int]
"""Of a square image, or its height and width."""


def _image(size: Size) -> Any:
    return keras.Input((size, size, 3) if isinstance(size, int) else (*size, 3))


def classifier() -> keras.Model:
    """Two convolutions on digits of 28x28, and a Dense layer."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            kl.Conv2D(32, 3, activation="relu"),
            kl.MaxPooling2D(2),
            kl.Conv2D(64, 3, activation="relu"),
            kl.MaxPooling2D(2),
            kl.Flatten(),
            kl.Dropout(0.5),
            kl.Dense(10, activation="log_softmax"),
        ]
    )


def frozen_resnet_50() -> keras.Model:
    """ResNet-50 as a fixed extractor of features under a new Dense layer."""
    backbone = applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    for layer in backbone.layers:
        layer.trainable = False
    return keras.Model(backbone.input, kl.Dense(400, activation="log_softmax")(backbone.output))


def bare_resnet_50() -> keras.Model:
    """ResNet-50: frozen convolutions without bias, norms without shift and scale, and a Dense layer without bias."""
    backbone = applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    config = backbone.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Conv2D":
            layer["config"] |= {"use_bias": False, "trainable": False}
        elif layer["class_name"] == "BatchNormalization":
            layer["config"] |= {"center": False, "scale": False}
    bare = keras.Model.from_config(config)
    return keras.Model(bare.input, kl.Dense(10, use_bias=False, activation="log_softmax")(bare.output))


def _norm_relu(x: Any) -> Any:
    return kl.Activation("relu")(kl.BatchNormalization(epsilon=2e-5)(x))


def _bottleneck(x: Any, filters: int, strides: int, *, projected: bool) -> Any:
    """A residual block whose norms come before its convolutions (He et al., arXiv 1603.05027).

    Gives the activation that begins it, which a U-Net takes over, and the block's result.
    """
    begin = _norm_relu(x)
    shortcut = kl.Conv2D(4 * filters, 1, strides=strides, use_bias=False)(begin) if projected else x
    y = _norm_relu(kl.Conv2D(filters, 1, use_bias=False)(begin))
    y = kl.Conv2D(filters, 3, strides=strides, use_bias=False)(kl.ZeroPadding2D(1)(y))
    y = kl.Conv2D(4 * filters, 1, use_bias=False)(_norm_relu(y))
    return begin, kl.Add()([y, shortcut])


def res_unet() -> keras.Model:
    """A U-Net whose encoder is a ResNet-50 with norms before its convolutions, for masks of 256x256."""
    inputs = keras.Input((256, 256, 3))
    x = kl.ZeroPadding2D(3)(kl.BatchNormalization(epsilon=2e-5, scale=False)(inputs))
    x = _norm_relu(kl.Conv2D(64, 7, strides=2, use_bias=False)(x))
    skips = [x]
    x = kl.MaxPooling2D(3, strides=2)(kl.ZeroPadding2D(1)(x))
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            first = block == 0
            strides = 2 if first and stage else 1
            begin, x = _bottleneck(x, 64 << stage, strides, projected=first)
            if first and stage:
                skips.append(begin)
    x = _norm_relu(x)
    for filters in (256, 128, 64, 32, 16):
        x = kl.UpSampling2D(2)(x)
        if skips:
            x = kl.Concatenate()([x, skips.pop()])
        for _half in range(2):
            x = _norm_relu(kl.Conv2D(filters, 3, padding="same", use_bias=False)(x))
    return keras.Model(inputs, kl.Activation("sigmoid")(kl.Conv2D(1, 3, padding="same")(x)))


def xception_unet(size: Size = 160) -> keras.Model:
    """Separable convolutions on the way down, transposed ones on the way up, for three classes of pixels.

    Source: keras.io/examples/vision/oxford_pets_image_segmentation, whose summary states the counts.
    """
    inputs = _image(size)
    x = _norm_relu_after(kl.Conv2D(32, 3, strides=2, padding="same")(inputs))
    block_input = x
    for filters in (64, 128, 256):
        for _half in range(2):
            x = kl.Activation("relu")(x)
            x = kl.BatchNormalization()(kl.SeparableConv2D(filters, 3, padding="same")(x))
        x = kl.MaxPooling2D(3, strides=2, padding="same")(x)
        x = kl.Add()([x, kl.Conv2D(filters, 1, strides=2, padding="same")(block_input)])
        block_input = x
    for filters in (256, 128, 64, 32):
        for _half in range(2):
            x = kl.Activation("relu")(x)
            x = kl.BatchNormalization()(kl.Conv2DTranspose(filters, 3, padding="same")(x))
        x = kl.UpSampling2D(2)(x)
        x = kl.Add()([x, kl.Conv2D(filters, 1, padding="same")(kl.UpSampling2D(2)(block_input))])
        block_input = x
    return keras.Model(inputs, kl.Conv2D(3, 3, activation="softmax", padding="same")(x))


def _norm_relu_after(x: Any) -> Any:
    return kl.Activation("relu")(kl.BatchNormalization()(x))


def _darknet_conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
    if strides > 1:
        x = kl.ZeroPadding2D(((1, 0), (1, 0)))(x)
    padding = "same" if strides == 1 else "valid"
    regularizer = keras.regularizers.L2(5e-4)
    x = kl.Conv2D(filters, size, strides, padding, use_bias=False, kernel_regularizer=regularizer)(x)
    return kl.LeakyReLU(negative_slope=0.1)(kl.BatchNormalization(momentum=0.1, epsilon=1e-5)(x))


def yolo_v3(size: Size = 416, width: int = 32, classes: int = 80) -> keras.Model:
    """YOLOv3 (Redmon and Farhadi, arXiv 1804.02767): Darknet-53 and a head at each of three scales.

    Args:
        width: filters of the first convolution; all others are multiples of it.
    """
    x = inputs = _image(size)
    x = _darknet_conv(x, width, 3)
    scales = []
    for stage, blocks in enumerate((1, 2, 8, 8, 4), start=1):
        filters = width << stage
        x = _darknet_conv(x, filters, 3, strides=2)
        for _block in range(blocks):
            x = kl.Add()([x, _darknet_conv(_darknet_conv(x, filters // 2, 1), filters, 3)])
        scales.append(x)
    rows = []
    for filters, skip in zip((16 * width, 8 * width, 4 * width), (None, *scales[-2:-4:-1]), strict=True):
        if skip is not None:
            x = kl.Concatenate()([kl.UpSampling2D(2)(_darknet_conv(x, filters, 1)), skip])
        for _pair in range(2):
            x = _darknet_conv(_darknet_conv(x, filters, 1), 2 * filters, 3)
        x = _darknet_conv(x, filters, 1)
        head = kl.Conv2D(3 * (classes + 5), 1)(_darknet_conv(x, 2 * filters, 3))
        rows.append(kl.Reshape((-1, 3 * (classes + 5)))(head))
    return keras.Model(inputs, kl.Concatenate(axis=1)(rows))


def one_channel(build: Callable[..., keras.Model], size: int = 224) -> Callable[[], keras.Model]:
    return lambda: build(weights=None, input_shape=(size, size, 1))


Published = tuple[Callable[[], keras.Model], int, int, int | None]

PUBLISHED: dict[str, Published] = {
    "a classifier of digits": (classifier, 34826, 34826, 11),
    "ResNet-50, frozen, under a Dense layer": (frozen_resnet_50, 24354192, 819600, 178),
    "ResNet-50 without biases, scales and shifts": (bare_resnet_50, 23475392, 20480, 178),
    "a U-Net over a ResNet-50": (res_unet, 32513556, 32513556, 231),
    "a U-Net of Xception's layers": (xception_unet, 2055203, 2055203, 73),
    "VGG16": (one_channel(applications.VGG16), 138356392, 138356392, None),
    "ResNet-50": (one_channel(applications.ResNet50), 25577320, 25577320, None),
    "MobileNet": (one_channel(applications.MobileNet), 4231400, 4231400, None),
    "MobileNetV2": (one_channel(applications.MobileNetV2), 3504296, 3504296, None),
    "DenseNet-121": (one_channel(applications.DenseNet121), 7972584, 7972584, None),
    "InceptionV3": (one_channel(applications.InceptionV3, 299), 23816776, 23816776, None),
    "YOLOv3": (yolo_v3, 61949149, 61949149, None),
}
"""Network -> what builds it, its parameters, those that are trained, and its operations where they were published.

Running statistics do not count, and a norm's scale and shift count where they are trained, as Keras has it.
"""
